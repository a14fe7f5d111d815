"""Any model's config.json, predicted from the planner's page: who may, what is refused, what the demo gets."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask

import planned
from memlab.results.record import Record
from pages.world import visible
from planned import SMALL
from steelyard.settings import Settings
from steelyard.web.lab import Lab
from steelyard.web.lab.ask import MAX_CONFIG_BYTES
from steelyard.web.lab.run import DemoRun
from web.lab_site import FAKE, Visitor, broken_links, script, wait_until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups")

CONFIG = '{"model_type": "llama", "hidden_size": 64}'


def predicting(*records: Record) -> str:
    """Return a demo that writes these records, and whose configuration and environment it notes."""
    texts = [record.model_dump_json() for record in records]
    return FAKE + (
        'out = sys.argv[sys.argv.index("--out") + 1]\n'
        'config = open(sys.argv[sys.argv.index("--model") + 1]).read()\n'
        'json.dump([sys.argv[1:], config, os.environ.get("HF_HUB_OFFLINE")], open(out + "/asked", "w"))\n'
        "wrote = []\n"
        f"for number, text in enumerate({texts!r}):\n"
        '    wrote.append(f"{out}/{number}.json")\n'
        '    open(wrote[-1], "w").write(text)\n'
        'tell(run=0, status="ok", message=None, wrote=wrote)\n'
    )


@pytest.fixture
def lab(tmp_path: Path, settings: Settings) -> Iterator[Lab]:
    planned.publish(settings.results)
    found = next(one for one in planned.grid(SMALL) if one.technique == "lora")
    script(
        tmp_path / "demos",
        "lora",
        predicting(found, planned.failed(found.model_copy(update={"technique": "qlora"}))),
    )
    (tmp_path / "out").mkdir()
    with Lab(tmp_path / "demos", tmp_path / "out") as lab:
        yield lab


@pytest.fixture
def app(lab_app: Flask) -> Flask:
    return lab_app


def predict(visitor: Visitor, **fields: str) -> DemoRun:
    """Send the form, and return the run when it has ended."""
    sent = {"technique": "lora", "config": CONFIG, "batch": "1", "seq": "512", "precision": "bf16", **fields}
    response = visitor.post("/lab/predictions", **sent)
    assert response.status_code == 303, response.text
    (run, *_others) = visitor.lab.predictions()
    assert response.location == f"/lab/runs/{run.number}"
    wait_until(visitor.lab, run, lambda run: run.ended)
    return run


def asked(lab: Lab) -> tuple[list[str], str, str]:
    words, config, offline = json.loads((lab.out / "asked").read_text(encoding="utf-8"))
    return words, config, offline


# ---- who may ---------------------------------------------------------------------------------------------------


def test_without_demos_the_page_does_not_offer_it(settings, make_app):
    planned.publish(settings.results)
    client = make_app(settings).test_client()

    assert 'id="ask"' not in client.get("/plan").text
    assert client.post("/lab/predictions").status_code == 404


def test_without_the_link_the_page_says_where_it_is_and_takes_nothing(app, lab):
    stranger = Visitor(app)
    token = stranger.token("/questions/basics/first")
    page = stranger.client.get("/plan").text
    response = stranger.post("/lab/predictions", csrf_token=token, technique="lora", config=CONFIG)

    assert "open the link that the terminal shows" in page and 'name="config"' not in page
    assert response.status_code == 403
    assert lab.predictions() == []


def test_what_has_no_prediction_for_a_gpu_is_not_offered(visitor, lab):
    """ZeRO's demo predicts its ranks as on a CPU alone, and refuses `--for cuda`."""
    for name in ("qlora", "zero"):
        (lab.demos / f"{name}.py").write_bytes((lab.demos / "lora.py").read_bytes())
    form = visitor.client.get("/plan").text.partition('id="ask-technique"')[2].partition("</select>")[0]
    response = visitor.post("/lab/predictions", technique="zero", config=CONFIG)

    assert re.findall(r'value="(\w+)"', form) == ["lora", "qlora"]
    assert response.status_code == 404
    assert lab.predictions() == []


@pytest.mark.parametrize(
    ("headers", "fields", "status"),
    [
        ({"Origin": "http://evil.example"}, {}, 403),
        ({"X-Forwarded-For": "127.0.0.1"}, {}, 403),
        ({}, {"csrf_token": ""}, 400),
        ({}, {"technique": "../evil"}, 404),
    ],
    ids=["origin", "proxy", "token", "technique"],
)
def test_the_rules_of_the_lab_hold_here_too(visitor, lab, headers, fields, status):
    response = visitor.post("/lab/predictions", headers, **{"technique": "lora", "config": CONFIG, **fields})

    assert response.status_code == status
    assert lab.predictions() == []


# ---- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"config": ""}, "Paste a config.json, or choose its file."),
        ({"config": "/etc/passwd"}, "This is not JSON"),
        ({"config": '{"vocab_size": NaN}'}, "This is not JSON: NaN."),
        ({"config": "[" * 20_000}, "This is not JSON"),
        ({"config": '{"a": ' * 16 + "[]" + "}" * 16}, "This is not JSON: nested more than 16 deep."),
        ({"config": '{"a": "]", "b": ' * 17 + "0" + "}" * 17}, "This is not JSON: nested more than 16 deep."),
        ({"config": '["llama"]'}, "it holds no object with fields"),
        ({"config": json.dumps({"model_type": "x" * MAX_CONFIG_BYTES})}, "longer than 32768 bytes"),
        ({"batch": "0"}, "Sequences a step: “0” is not a whole number from 1 up."),
        ({"precision": "fp8"}, "Precision: “fp8” is none of mixed, bf16."),
    ],
)
def test_what_is_no_configuration_is_told_in_one_line_and_the_form_keeps_it(visitor, lab, fields, words):
    sent = {"technique": "lora", "config": CONFIG, **fields}
    response = visitor.post("/lab/predictions", **sent)

    assert response.status_code == 400
    assert words in visible(response.text)
    assert lab.predictions() == [] and not (lab.out / "configs").exists()
    if len(sent["config"]) < 100:
        kept = response.text.partition('name="config"')[2].partition(">")[2].partition("</textarea>")[0]
        assert kept == sent["config"].replace('"', "&#34;")


def test_the_page_that_refuses_leads_to_the_planner_and_not_to_the_forms_address(visitor):
    page = visitor.post("/lab/predictions", technique="lora", config="not json")

    assert page.status_code == 400 and page.text.count('href="/plan?model=') > 10
    assert broken_links(visitor, page) == []


def test_more_than_any_form_may_be_is_refused_before_it_is_read(visitor, lab):
    response = visitor.post("/lab/predictions", technique="lora", config="x" * 70_000)

    assert response.status_code == 413
    assert lab.predictions() == []


def test_what_the_demo_refuses_is_told_in_its_own_line(visitor, lab):
    script(
        lab.demos, "lora", FAKE + 'sys.stderr.write("lora.py: --model: hidden_size is 0\\n"); sys.exit(2)\n'
    )
    run = predict(visitor)

    assert run.state == "refused"
    assert "lora.py: --model: hidden_size is 0" in visitor.client.get(f"/lab/runs/{run.number}").text


# ---- what the demo gets, and what comes of it ------------------------------------------------------------------


def test_the_demo_gets_a_file_of_the_sites_own_making_and_no_hub(visitor, lab):
    predict(
        visitor,
        config='{"model_type": "../../llama", "hidden_size": 64}',
        out="/tmp/x",
        publish="1",
        model="/etc",
    )
    words, config, offline = asked(lab)
    path = Path(words[words.index("--model") + 1])

    assert words[:3] == ["--predict", "--for", "cuda"] and "--publish" not in words
    assert words[5:] == ["--batch", "1", "--precision", "bf16", "--out", str(lab.out)]
    assert path.parent == lab.out / "configs" and path.name.startswith("model-")
    assert json.loads(config) == {"model_type": "../../llama", "hidden_size": 64}
    assert offline == "1"


def test_a_file_can_be_sent_instead(visitor, lab):
    fields = {"technique": "lora", "config": "", "csrf_token": visitor.token()}
    sent = {**fields, "file": (BytesIO(CONFIG.encode("utf-8-sig")), "config.json")}  # as some editors save it
    response = visitor.client.post("/lab/predictions", data=sent, headers={"Origin": Visitor.ORIGIN})
    (run,) = lab.predictions()
    wait_until(lab, run, lambda run: run.ended)

    assert response.status_code == 303 and json.loads(asked(lab)[1]) == json.loads(CONFIG)
    bad = {**fields, "file": (BytesIO(b"\xff\xfe"), "config.json")}
    response = visitor.client.post("/lab/predictions", data=bad, headers={"Origin": Visitor.ORIGIN})
    assert response.status_code == 400 and "no text in UTF-8" in response.text


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_the_result_is_shown_like_one_of_the_grid(visitor, lang):
    """Held against every size of GPU, with the bar, the reasons and the command; one that failed says why."""
    run = predict(visitor)
    page = visitor.client.get(f"/lab/runs/{run.number}?lang={lang}").text

    assert page.count('<svg class="chart load"') == 1
    assert page.count('<td class="fit-yes">') == 8 and "+3.69" in page
    assert ("The peak comes in the backward pass" if lang == "en" else "逆伝播時に") in visible(page)
    assert planned.FAILED in visible(page)
    assert 'href="/plan#ask"' in page


def test_what_was_asked_is_listed_on_the_page_and_not_on_the_techniques(visitor):
    run = predict(visitor)
    page = visitor.client.get("/plan").text

    assert f'<a href="/lab/runs/{run.number}">' in page
    assert f"/lab/runs/{run.number}" not in visitor.client.get("/techniques/lora").text
