"""The report as a page: complete, harmless, the same each time, and drawn by a real browser."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import ds2_fast
from chromium import open_browser
from ds2_fast.cli import main
from ds2_fast.errors import RunError
from ds2_fast.progress import Narrator

POOL = Path(__file__).parent.parent / "examples" / "sample_pool.parquet"
OPTIONS = {"score_col": "rating", "space": "lexical"}
EVIL = (
    "<script>window.hacked=1</script><img src=http://evil.test/x onerror=hacked=2> \x00\x1b[31m &"
)
VOID = {"meta", "link", "img", "br", "path", "use", "line", "circle"}


class Page(HTMLParser):
    """What a page is made of; refuses tags that are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.ids, self.open, self.links, self.words = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "srcset", "action"):
                self.links.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    """A pool with groups and further raters, in a folder of its own."""
    folder = tmp_path_factory.mktemp("pools")
    rng = np.random.default_rng(0)
    frame = pl.read_parquet(POOL).head(800)
    truth = frame["truth"].to_numpy()
    frame.with_columns(
        source=pl.col("topic").str.split("/").list.first(),
        second=pl.Series(np.clip(truth + rng.integers(-1, 2, len(truth)), 0, 5)),
    ).write_parquet(folder / "pool.parquet")
    frame.select("id", score="truth").sample(100, seed=1).write_csv(folder / "audit.csv")
    return folder


@pytest.fixture(scope="module")
def finished(pools):
    """A run with its page."""
    run = pools / "run"
    result = ds2_fast.select(pools / "pool.parquet", 60, run_dir=run, noise_share=0.9, **OPTIONS)
    return run, result.report, Page((run / "report.html").read_text("utf-8"))


def test_the_page_tells_what_the_report_holds(finished):
    _, report, page = finished
    tie, scores = report["figures"]["cut"]["tie"], report["scores"]
    flow, matrix = report["figures"]["flow"], report["transition"]["T"]
    for told in (
        "Selected 60 of 800 samples",
        f"{tie['selected']:,} of its {tie['samples']:,} samples were selected",
        f"Curation changed {flow['raised'] + flow['lowered']:,} of 800 scores",
        report["trust"]["verdict"],
        f"{matrix[2][2]:.2f}",
        f"{report['transition']['intervals']['T'][2][2][0]:.2f}–",
        f"{scores['pool'][3]:,}",
        f"{report['figures']['length']['selected']['quarters'][1]:.0f} characters",
        "By source",
        "By length in characters",
        "Corrected scores",
        "Just missed",
        "0 has near copies",
    ):
        assert told in page.text, told
    assert page.text.count("Spearman") >= 1
    assert page.tags.count("svg") == 6
    assert page.tags.count("article") == sum(
        len(report["figures"]["examples"][part]) for part in ("corrected", "selected", "missed")
    )


def test_the_page_is_alone(finished):
    _, _, page = finished
    assert [link for link in page.links if not link.startswith(("data:", "#"))] == []
    assert len(page.ids) == len(set(page.ids))


def test_drawings_take_their_colors_from_the_page(finished):
    text = (finished[0] / "report.html").read_text("utf-8")
    assert "#0a01" not in text
    used = set(re.findall(r"var\(--([a-z0-9]+)\)", text))
    known = set(re.findall(r"--([a-z0-9]+):", text))
    assert used <= known
    assert "@media (prefers-color-scheme:dark)" in text


def test_equal_runs_have_equal_pages(finished, pools, tmp_path):
    run, _, _ = finished
    ds2_fast.select(
        pools / "pool.parquet",
        60,
        run_dir=tmp_path / "run",
        noise_share=0.9,
        threads=1,
        **OPTIONS,
    )
    again = (tmp_path / "run" / "report.html").read_bytes()
    assert again == (run / "report.html").read_bytes()
    file = ds2_fast.draw_report(run, tmp_path / "drawn.html")
    assert file.read_bytes() == again, "a finished run is drawn from what it kept"


@pytest.mark.parametrize(
    ("n", "options", "told"),
    [
        (None, {}, ["Curated 800 samples"]),
        ([20, 40], {"second_rater": "second"}, ["Selected 20 and 40 of", "Calibration"]),
        (40, {"score_col": ["rating", "second"]}, ["How each two agree", "rating and second"]),
        (40, {"audit": "audit.csv"}, ["held out", "agreement with the person"]),
        (40, {"dedup": 0.9, "fill": "kcenter"}, ["near duplicates", "k-center"]),
        (40, {"preset": "reference"}, ["No intervals"]),
        (40, {"curation": "none"}, ["Curation changed no score"]),
        (40, {"budget": 400}, ["Budget:"]),
    ],
)
def test_every_kind_of_run_has_a_page(pools, tmp_path, n, options, told):
    if "audit" in options:
        options = {"audit": pools / "audit.csv"}
    run = tmp_path / "run"
    ds2_fast.select(pools / "pool.parquet", n, run_dir=run, **{**OPTIONS, **options})
    page = Page((run / "report.html").read_text("utf-8"))
    for words in told:
        assert words in page.text


@pytest.mark.parametrize("size", [3, 4, 30])
@pytest.mark.parametrize("scores", ["equal", "mixed"])
def test_pools_of_nothing_much_have_a_page(tmp_path, size, scores):
    rating = pl.lit(3) if scores == "equal" else pl.int_range(pl.len()) % 6
    frame = pl.read_parquet(POOL).head(size).with_columns(rating=rating)
    run = tmp_path / "run"
    ds2_fast.select(frame, 1, run_dir=run, scale="0-5", **OPTIONS)
    assert f"Selected 1 of {size} samples" in Page((run / "report.html").read_text("utf-8")).text


@pytest.fixture(scope="module")
def evil(tmp_path_factory):
    """The page of a pool that would like to run scripts: in texts, ids and groups."""
    folder = tmp_path_factory.mktemp("evil")
    each = pl.int_range(pl.len()).cast(pl.String)
    pl.read_parquet(POOL).head(300).with_columns(
        instruction=pl.lit(EVIL) + each,
        id=pl.lit(EVIL) + each,
        source=pl.lit(EVIL) + (pl.int_range(pl.len()) % 3).cast(pl.String),
    ).write_parquet(folder / "pool.parquet")
    ds2_fast.select(folder / "pool.parquet", 30, run_dir=folder / "run", **OPTIONS)
    return folder / "run" / "report.html"


def test_texts_stay_texts(evil):
    text = evil.read_text("utf-8")
    page = Page(text)
    assert page.tags.count("script") == 2, "the page's own, and the texts of the map"
    assert "img" not in page.tags
    assert "<script>window.hacked" not in text
    assert "window.hacked=1" in page.text
    assert not {"\x00", "\x1b"} & set(text)


def test_a_page_without_the_pool_says_so(pools, tmp_path):
    class Told(Narrator):
        def __init__(self):
            self.warnings = []

        def warn(self, text):
            self.warnings.append(text)

    file = tmp_path / "pool.parquet"
    file.write_bytes((pools / "pool.parquet").read_bytes())
    ds2_fast.select(file, 20, run_dir=tmp_path / "run", **OPTIONS)
    file.unlink()
    told = Told()
    page = Page(ds2_fast.draw_report(tmp_path / "run", narrator=told).read_text("utf-8"))
    assert "the texts of its samples are not shown" in page.text
    assert "texts are not shown" in told.warnings[0]


def test_a_report_of_an_earlier_version_cannot_be_drawn(finished, tmp_path):
    run, report, _ = finished
    (tmp_path / "manifest.json").write_bytes((run / "manifest.json").read_bytes())
    old = {name: part for name, part in report.items() if name != "figures"}
    (tmp_path / "report.json").write_text(json.dumps(old))
    with pytest.raises(RunError, match="no figures") as error:
        ds2_fast.draw_report(tmp_path)
    assert "again" in error.value.hint


def test_the_command_line_draws_unless_told_not_to(capsys, pools, tmp_path):
    run, file = tmp_path / "run", pools / "pool.parquet"
    command = ["select", file, "-n", 9, "--score-col", "rating", "--space", "lexical"]
    command = [str(part) for part in (*command, "--run-dir", run)]
    assert main(command) == 0
    said = capsys.readouterr().err
    assert (run / "report.html").is_file()
    assert str(run / "report.html") in said
    assert main([*command, "--no-html"]) == 0
    assert not (run / "report.html").exists(), "none is left of the run before"
    assert main(["report", str(run), "--html", str(tmp_path / "mine.html")]) == 0
    assert "Selected 9 of" in capsys.readouterr().out
    assert main(["report", str(run), "--html"]) == 0
    assert (tmp_path / "mine.html").read_bytes() == (run / "report.html").read_bytes()


def test_a_page_never_tells_of_a_selection_that_was_replaced(pools, tmp_path):
    class Stopped(Narrator):
        def done(self, name, text):
            if name == "selection":
                raise KeyboardInterrupt

    run = tmp_path / "run"
    ds2_fast.select(pools / "pool.parquet", 10, run_dir=run, **OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        ds2_fast.select(pools / "pool.parquet", 11, run_dir=run, narrator=Stopped(), **OPTIONS)
    assert not (run / "report.html").exists()


def look(browser, file: Path, folder: Path, name: str, widths=(390, 800, 1280)) -> None:
    """See a page at several widths, light and dark: it is quiet, alone, and fits."""
    for width in widths:
        pictures = []
        for dark in (False, True):
            browser.open(file, width=width, dark=dark)
            assert browser.complaints == []
            assert browser.requests == []
            assert browser.evaluate("document.documentElement.scrollWidth") == width
            assert browser.evaluate("window.hacked") is None
            shade = "dark" if dark else "light"
            pictures.append(browser.screenshot(folder / f"{name}-{width}-{shade}.png"))
        assert pictures[0] != pictures[1], "light and dark look different"


def read_under_pointer(browser, point: int) -> tuple[str, str]:
    """Point at a sample of the map, and read what is shown."""
    browser.evaluate("document.querySelector('.map').scrollIntoView({behavior: 'instant'})")
    x, y = browser.evaluate(
        f"""(() => {{
          const data = JSON.parse(document.getElementById("points").textContent);
          const svg = document.querySelector(".map svg");
          const at = new DOMPoint(data.x[{point}], data.y[{point}])
            .matrixTransform(svg.getScreenCTM());
          return [at.x, at.y];
        }})()"""
    )
    browser.point(x, y)
    shown, tip = (
        browser.evaluate(f"document.querySelector('.tip {tag}').textContent")
        for tag in ("b", "span")
    )
    assert browser.evaluate("document.querySelector('.tip').hidden") is False
    return shown, tip


def test_a_browser_shows_the_page(finished, evil, pools, tmp_path):
    run, report, _ = finished
    with open_browser() as browser:
        look(browser, run / "report.html", tmp_path, "sample")
        look(browser, evil, tmp_path, "evil", (390,))
        browser.open(run / "report.html", width=1280)
        row = report["figures"]["map"]["rows"][5]
        head, text = read_under_pointer(browser, 5)
        near = [row for row in report["figures"]["map"]["rows"] if head.startswith(f"row {row} ")]
        assert near, "a sample, if not this one then one on the same spot"
        words = " ".join(pl.read_parquet(pools / "pool.parquet")["instruction"][near[0]].split())
        assert text.startswith(words[:40])
        assert row >= 0


def test_a_browser_shows_the_page_of_a_real_pool(data_dir, tmp_path):
    run = tmp_path / "run"
    ds2_fast.select(
        data_dir / "alpaca52k_rated.parquet",
        1000,
        score_col="rating_gpt4o_mini",
        embeddings=data_dir / "alpaca52k_minilm_f16.npy",
        run_dir=run,
    )
    page = run / "report.html"
    assert page.stat().st_size < 6_000_000
    with open_browser() as browser:
        look(browser, page, tmp_path, "alpaca")
        browser.open(page, width=390)
        assert read_under_pointer(browser, 7)[0].startswith("row ")
