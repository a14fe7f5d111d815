"""Will it fit? The page answers from the grid alone, in both languages, whatever it is asked."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from flask.testing import FlaskClient

import planned
from memlab.results.files import write_predictions
from memlab.results.gpu_fit import GPU_SIZES, OUTSIDE_BYTES
from pages.world import visible
from planned import BATCHES, LARGE, SEQS, SMALL
from steelyard.settings import Settings


@pytest.fixture
def client(settings: Settings, make_app) -> FlaskClient:
    """A visitor of a site over the tests' grid."""
    planned.publish(settings.results)
    return make_app(settings).test_client()


def ask(client: FlaskClient, **choice: object) -> str:
    response = client.get("/plan", query_string={name: str(value) for name, value in choice.items()})
    assert response.status_code == 200
    return response.text


def offered(html: str, name: str) -> list[str]:
    (select,) = re.findall(rf'<select id="{name}".*?</select>', html, re.DOTALL)
    return re.findall(r'<option value="([^"]*)"', select)


def chosen(html: str) -> dict[str, str]:
    """Return what the form shows as chosen."""
    return {
        name: re.findall(r'<option value="([^"]*)" selected>', body)[0]
        for name, body in re.findall(r'<select id="(\w+)"(.*?)</select>', html, re.DOTALL)
    }


def answer(html: str) -> str:
    """Return the words of the answer's section."""
    return visible(html.partition('aria-labelledby="answer"')[2].partition("</section>")[0])


def table(html: str, section: str) -> dict[str, list[str]]:
    """Return a section's table: row head → cells."""
    body = html.partition(f'aria-labelledby="{section}"')[2].partition("</section>")[0]
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', body, re.DOTALL)
    return {
        visible(head.partition("<small>")[0]).strip(): [
            visible(cell).strip() for cell in re.findall(r"<td.*?>(.*?)</td>", cells, re.DOTALL)
        ]
        for head, cells in rows
    }


# ---- choosing ------------------------------------------------------------------------------------------------


def test_everything_in_the_grid_can_be_chosen_and_every_size_of_gpu(client):
    html = ask(client)

    assert offered(html, "model") == [SMALL, LARGE]
    assert offered(html, "technique") == ["baseline-mixed", "lora-mixed-r16", "qlora-mixed-r16"]
    assert offered(html, "batch") == [str(batch) for batch in BATCHES]
    assert offered(html, "seq") == [str(seq) for seq in SEQS]
    assert offered(html, "gpu") == [str(size // 1024**3) for size in GPU_SIZES]
    assert {"8", "12", "16", "24", "48", "80"} <= {*offered(html, "gpu")}


def test_what_was_chosen_stays_chosen(client):
    choice = {"model": LARGE, "technique": "lora-mixed-r16", "batch": "4", "seq": "2048", "gpu": "80"}

    assert chosen(ask(client, **choice)) == choice


@pytest.mark.parametrize(
    "asked",
    [
        {"model": "nothing"},
        {"model": "../../etc/passwd", "gpu": "-24"},
        {"technique": "<b>", "batch": "0", "seq": "1e9", "gpu": "24GB"},
        {"batch": "１", "seq": "", "gpu": "999999999999999999999"},
        {"batch": "nan", "seq": "512.0", "technique": "__class__"},
    ],
)
def test_what_is_asked_for_in_vain_is_answered_by_the_usual_or_the_first(client, asked):
    html = ask(client, **asked)
    usual = {"model": SMALL, "technique": "qlora-mixed-r16", "batch": "1", "seq": "512", "gpu": "24"}

    assert chosen(html) == usual
    assert "<b>" not in html.partition("<main")[2]


def test_an_address_with_several_values_takes_the_first(client):
    assert chosen(client.get(f"/plan?model={LARGE}&model={SMALL}&gpu=8&gpu=x").text)["model"] == LARGE


# ---- the answer ------------------------------------------------------------------------------------------------


def test_the_answer_adds_up_and_says_that_it_is_a_prediction(client):
    """One GiB of weights and one of activations, one more in reserve, and what lies outside the allocator."""
    words = answer(ask(client, model=SMALL, technique="qlora-mixed-r16", gpu=8))

    assert "Predicted, without running on any hardware".casefold() in words.casefold()
    assert "fits 3.69 GiB to spare" in words
    assert "what the allocator takes from the GPU 3.00 GiB of which" in words
    assert "for tensors at their peak, with its rounding 2.50 GiB" in words
    assert f"outside the allocator {OUTSIDE_BYTES / 1024**3:.2f} GiB" in words
    assert "together 4.31 GiB" in words and "a GPU of 8 GB, as it is sold 8.00 GiB" in words
    assert "python demos/qlora.py --predict --for cuda --model smollm2-135m --batch 1 --seq 512" in words


def test_what_does_not_fit_says_by_how_much(client):
    words = answer(ask(client, model=LARGE, technique="lora-mixed-r16", gpu=80))

    assert "does not fit 272.31 GiB short" in words


def test_what_the_allocator_can_give_back_is_called_tight(client):
    """The tensors fit with what CUDA takes, and the allocator's reserve does not."""
    words = answer(ask(client, model=SMALL, technique="baseline-mixed", batch=4, seq=512, gpu=8))
    assert "tight 319.0 MiB short" in words and "more slowly" in words


def test_the_chart_shows_every_kind_and_the_table_beside_it_adds_up(client):
    html = ask(client, model=SMALL, technique="qlora-mixed-r16", gpu=8)
    (figure,) = re.findall(r'<figure class="chart-figure.*?</figure>', html, re.DOTALL)
    (label,) = re.findall(r'<svg class="chart load"[^>]* aria-label="([^"]*)"', figure)

    kinds = ["kind-weights", "kind-activations", "kind-reserve", "kind-context"]
    assert re.findall(r'<rect class="([^"]+)"', figure) == kinds
    assert visible(label) == "4.31 GiB of 8 GB"
    assert re.findall(r"<tfoot>.*?<td>(.*?)</td>", figure, re.DOTALL) == ["4.31\N{NO-BREAK SPACE}GiB"]
    assert "style=" not in figure


def test_why_names_the_phase_and_what_is_alive_the_most_first(client):
    html = ask(client, model=SMALL, technique="qlora-mixed-r16", batch=4, seq=2048)
    section = html.partition('aria-labelledby="why"')[2].partition("</section>")[0]

    assert "The peak comes in the backward pass." in visible(section)
    assert re.findall(r"<dt[^>]*>(.*?)</dt>", section) == [
        "activations: 16.00\N{NO-BREAK SPACE}GiB, 94.1%",
        "weights: 1.00\N{NO-BREAK SPACE}GiB, 5.9%",
    ]


# ---- the tables ------------------------------------------------------------------------------------------------


def test_techniques_are_ranked_by_the_tokens_that_fit_and_then_by_what_they_need(client):
    ranked = table(ask(client, model=SMALL, gpu=8), "loads")

    assert list(ranked) == ["LoRA, mixed", "QLoRA, mixed", "Full fine-tuning, mixed"]
    assert ranked["QLoRA, mixed"] == ["✓ fits: 4.31", "✓ fits: 7.31", "✓ fits: 7.31", "✗ does not fit: 19.31"]
    assert ranked["Full fine-tuning, mixed"][:2] == ["✓ fits: 5.31", "~ tight: 8.31"]
    needed = table(ask(client, model=LARGE, gpu=8), "loads")
    assert list(needed) == ["QLoRA, mixed", "LoRA, mixed", "Full fine-tuning, mixed"]


def test_every_size_of_gpu_is_answered_for_every_technique(client):
    by_size = table(ask(client, model=SMALL, technique="lora-mixed-r16", batch=4, seq=2048), "sizes")

    assert by_size["LoRA, mixed"] == [
        "✗ does not fit: −11.31", "✗ does not fit: −7.31", "✗ does not fit: −3.31", "✓ fits: +4.69",
        "✓ fits: +12.69", "✓ fits: +20.69", "✓ fits: +28.69", "✓ fits: +60.69",
    ]  # fmt: skip


def test_each_figure_leads_to_its_own_prediction(client):
    html = ask(client, model=SMALL, gpu=8)
    row = html.partition('aria-labelledby="loads"')[2].partition("</tbody>")[0]
    links = [link.replace("&amp;", "&") for link in re.findall(r'<a href="/plan(\?[^"]+)"', row)]

    assert len({*links}) == len(links) == 3 * len(BATCHES) * len(SEQS)
    for link in links:
        html = client.get(f"/plan{link}").text
        assert link == "?" + "&".join(f"{name}={value}" for name, value in chosen(html).items())


def test_a_prediction_that_failed_or_is_missing_says_so_and_why(client):
    html = ask(client, model=LARGE, technique="qlora-mixed-r16", seq=2048)
    assert "This could not be predicted. cannot be predicted: it computes by its numbers" in answer(html)
    assert "failed" in table(html, "loads")["QLoRA, mixed"]

    html = ask(client, model=LARGE, technique="baseline-mixed", batch=4, seq=2048)
    assert "There is no prediction of this technique under this load" in answer(html)
    assert table(html, "loads")["Full fine-tuning, mixed"][-1] == "–"


def test_a_length_that_a_model_cannot_read_can_be_chosen_and_is_told_apart(settings, client):
    short = [record for record in planned.grid(LARGE) if record.setup.seq == 512]
    write_predictions(settings.results / "predictions" / f"{LARGE}.jsonl", short)
    client.application.extensions["steelyard"].live_records.refresh()
    html = ask(client, model=LARGE, seq=2048)

    assert chosen(html)["seq"] == "2048"
    assert f"no prediction of {LARGE} with 2,048 tokens" in answer(html)
    assert "the most here are 512" in answer(html)


def test_where_one_gpu_is_too_small_the_page_says_how_many_would_do_with_four_bits_under_zero_3(client):
    """Of 92 GiB of weights 2.5 are scales; each GPU has room for 17 GiB of the others beside all else."""
    rows = table(ask(client, model=LARGE, technique="lora-mixed-r16", gpu=24), "shared")

    assert rows == {
        "QLoRA, mixed": ["6", "14.92 GiB", "2.49 GiB", "1.15 GiB", "2.00 GiB", "1.31 GiB", "21.87 GiB"]
    }
    fits = ask(client, model=SMALL, gpu=24)
    assert "shared" not in re.findall(r'aria-labelledby="(\w+)"', fits)


def test_where_no_number_of_gpus_would_do_the_page_says_so(client):
    rows = table(ask(client, model=LARGE, technique="qlora-mixed-r16", batch=4, gpu=8), "shared")

    assert rows == {"QLoRA, mixed": ["no number of them: what is not shared out does not fit on one"]}


# ---- how far to trust it -----------------------------------------------------------------------------------------


def test_the_measured_error_stands_beside_every_figure_and_says_that_a_cpu_measured_it(client):
    html = ask(client, model=SMALL, technique="lora-mixed-r16")
    small = {visible(words) for words in re.findall(r"<small>(.*?)</small>", html)}

    assert "0.20% in the median of 3 runs on a CPU, at worst −0.20%" in answer(html)
    assert "the allocator's share has not been measured yet" in answer(html)
    assert small == {"0.20% (−0.20%), CPU", "0.00% (0.00%), CPU", "not measured yet"}
    assert "not measured yet" in answer(ask(client, model=SMALL, technique="qlora-mixed-r16"))


def test_a_comparison_on_a_gpu_goes_before_that_on_a_cpu(settings, client):
    planned.validation("cuda").write(settings.results / "validation" / "a-gpu.json")
    client.application.extensions["steelyard"].live_records.refresh()

    assert "runs on a GPU" in answer(ask(client, model=SMALL, technique="lora-mixed-r16"))


def test_other_tools_figures_of_the_same_runs_stand_beside_ours(client):
    html = ask(client)
    rows = table(html, "trust")

    assert rows["LoRA"] == [
        "0.20% (−0.20% to +0.20%)",
        "75.00% (−75.00% to −75.00%)",
        "–",
        "50.00% (−50.00% to −50.00%)",
    ]
    assert rows["Full fine-tuning"][2] == "40.00% (−40.00% to −40.00%)"
    assert "4 runs, measured and predicted" in visible(html)
    assert "2 predictions are the ledger's count to the byte" in visible(html)
    assert "not what a GPU's allocator adds" in visible(html)


# ---- around it --------------------------------------------------------------------------------------------------


def test_the_record_of_a_prediction_has_a_page_with_its_own_command(client):
    html = ask(client, model=SMALL, technique="lora-mixed-r16")
    (link,) = re.findall(r'<a href="(/runs/predictions/[^"]+)"', html)
    page = client.get(link).text

    assert "predicted, without running on any hardware" in visible(page)
    assert "<code>python demos/lora.py --predict --for cuda --model smollm2-135m" in page
    assert client.get(f"{link}.json").json["mode"] == "predicted"


def test_predictions_are_on_no_page_of_measurements(client):
    for address in ("/compare", "/techniques", "/techniques/lora", "/"):
        page = client.get(address).text
        assert "predictions/" not in page and LARGE not in page, address


def test_the_page_speaks_japanese(client):
    html = ask(client, model=LARGE, technique="lora-mixed-r16", lang="ja")

    assert '<html lang="ja"' in html
    assert "収まりません" in visible(html) and "Will it fit?" not in html
    assert re.findall(r"<h2[^>]*>[^<]*[a-z]{4,} [a-z]{2,}", html) == []


def test_the_page_is_linked_and_says_where_it_is(client):
    assert '<a href="/plan">' in client.get("/").text
    assert '<a href="/plan" aria-current="page">' in client.get("/plan").text


def test_without_predictions_the_page_says_so(settings, make_app):
    response = make_app(settings).test_client().get("/plan")

    assert response.status_code == 200
    assert "Nothing has been predicted yet." in visible(response.text)


def test_a_model_that_is_none_of_the_labs_shapes_is_shown_without_the_number_of_gpus(settings, client):
    text = (settings.results / "predictions" / f"{LARGE}.jsonl").read_text(encoding="utf-8")
    path = settings.results / "predictions" / "elsewhere.jsonl"
    path.write_text(text.replace(f'"{LARGE}"', '"elsewhere"'), encoding="utf-8")
    client.application.extensions["steelyard"].live_records.refresh()

    assert "does not fit" in answer(ask(client, model="elsewhere", technique="qlora-mixed-r16"))


def test_the_page_is_answered_without_torch(settings):
    planned.publish(settings.results)
    code = (
        "import sys; from pathlib import Path; from steelyard.settings import Settings; "
        "from steelyard.web import create_app; "
        f"app = create_app(Settings.from_environment({{'STEELYARD_DATA': {str(settings.data)!r}, "
        f"'STEELYARD_RESULTS': {str(settings.results)!r}, 'STEELYARD_SECRET_KEY': 'a secret for tests only', "
        "'STEELYARD_TRUSTED_HOSTS': 'localhost'})); "
        f"page = app.test_client().get('/plan?model={LARGE}'); assert '{LARGE}' in page.text; "
        "print(*{'torch', 'transformers', 'peft', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""
