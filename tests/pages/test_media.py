"""Pictures beside the questions: those, and nothing else of the folder or beyond it."""

from __future__ import annotations

import pytest

from pages.world import World

PNG = "\N{REPLACEMENT CHARACTER}PNG"


def test_a_picture_is_sent_with_its_type_and_locked_up(world: World) -> None:
    world.write("questions/lora/figure.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>")
    with world.client().get("/media/lora/figure.svg") as response:
        assert response.status_code == 200
        assert response.mimetype == "image/svg+xml"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in response.headers["Content-Security-Policy"]
        assert "script-src" not in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "lora/rank.md",
        "../secret.png",
        "%2e%2e/secret.png",
        "lora/none.png",
        "lora",
        "linked.png",
        "key.png",
        "circle.png",
        "a%00.png",
    ],
)
def test_nothing_else_is_sent(world: World, path: str) -> None:
    world.write("questions/lora/rank.md", "## Answer\nA\n")
    world.write("secret.png", PNG)
    (world.root / "questions/linked.png").symlink_to(world.root / "secret.png")
    (world.root / "questions/key.png").symlink_to(world.root / "questions/lora/rank.md")
    (world.root / "questions/circle.png").symlink_to("circle.png")
    response = world.client().get(f"/media/{path}")
    assert response.status_code == 404
    assert PNG not in response.text and "Answer\nA" not in response.text


def test_a_questions_picture_reaches_its_page(world: World) -> None:
    world.write("questions/lora/figure.png", PNG)
    world.write(
        "questions/lora/rank.en.md",
        "# Rank\n\n## Question\n\n![A figure](figure.png)\n\n## Choices\n\nA. Yes\n\nB. No\n\n## Answer\n\nA\n\n## Explanation\n\nX\n",
    )
    client = world.client()
    assert '<img src="/media/lora/figure.png" alt="A figure">' in client.get("/questions/lora/rank").text
    with client.get("/media/lora/figure.png") as response:
        assert response.mimetype == "image/png"
