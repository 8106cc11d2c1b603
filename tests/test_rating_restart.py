"""What makes a restart cheap agrees with the long way round: keys of requests, journals."""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2_fast import _core
from ds2_fast.rating.jobs import BEYOND_LIMIT, EMPTY, Asking, build_jobs
from ds2_fast.rating.journal import Journal, Loaded, Record, load_journal
from ds2_fast.rating.money import Spending
from ds2_fast.rating.patience import Sample
from ds2_fast.rating.prompt import load_prompt
from ds2_fast.rating.recorder import Recorder
from ds2_fast.rating.render import neutralize, render
from ds2_fast.rating.transport import Answer

# -- keys of requests ------------------------------------------------------------------------

FAST = load_prompt("ds2-fast-v1")
TEMPLATES = (
    (FAST.turn, FAST.user),
    ("{content}{{role}}{role}{content", "{tag}{{sample}}{tag} {role}"),
    ("{x} {role}\n{content}", "é{sample}{ta{tag}g}"),
)
# Pieces of what the core must leave alone, and of what it may take.
PIECES = (
    "<", "/", ">", "s", "S", "sys", "sample", "think", "end_of_turn", "bos", "|", "[", "]", "inst",
    "###", " ", "\t", "\n", "user", "Tool", ":", "div", "1", "ſ", "ı", "İ", "K", "｜", "é",
    "\u2003", "\ud800", "word " * 30,
)  # fmt: skip
CONTENT = st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(max_size=40)
ROLE = st.sampled_from(["user", "assistant", "system", "", "rôle", "{content}"])


def key_the_long_way(conversation, asking: Asking) -> tuple[str, int, bool, bool]:
    user, truncated, delimiters = render(conversation, asking.prompt, asking.max_bytes)
    state = hashlib.blake2b(asking.key_head() + user.encode(), digest_size=16)
    size = len(user.encode()) + len(asking.prompt.system.encode())
    return state.hexdigest(), size, truncated, delimiters


@given(
    st.lists(st.lists(st.tuples(ROLE, CONTENT), max_size=3), max_size=20),
    st.sampled_from(TEMPLATES),
    st.sampled_from([64, 300, 10_800]),
)
def test_keys_are_those_of_samples_rendered_one_by_one(pool, templates, max_bytes):
    turn, user = templates
    prompt = replace(FAST, turn=turn, user=user)
    asking = Asking("m", "", prompt, {"temperature": 0.0}, max_bytes)
    jobs = build_jobs(pool, asking)
    for row, conversation in enumerate(pool):
        job = jobs.job_of_row[row]
        if not any(content.strip() for _, content in conversation):
            assert job == EMPTY
            continue
        key, size, truncated, delimiters = key_the_long_way(conversation, asking)
        assert (jobs.keys[job], jobs.sizes[job]) == (key, size)
        assert (jobs.truncated[row], jobs.flag_delim[row]) == (truncated, delimiters)
        assert jobs.rows[job] <= row
    assert len(set(jobs.keys)) == len(jobs.keys)


@given(CONTENT)
def test_what_the_core_takes_needs_no_care(content):
    found = _core.plain_keys([[("user", content)]], b"", FAST.turn, FAST.user, 10_800)
    if found != [None]:
        assert neutralize(content) == (content, 0) and content.strip()


def test_most_samples_go_through_the_core_across_its_blocks():
    pool = [[("user", f"Is {i} < [a] ### 4?"), ("assistant", "<div>é</div>")] for i in range(1500)]
    pool[700] = [("user", "<s>")]
    asking = Asking("m", "", FAST, {}, 10_800)
    head = asking.key_head()
    plain = _core.plain_keys(pool, head, FAST.turn, FAST.user, 10_800)
    assert [row for row, found in enumerate(plain) if found is None] == [700]
    jobs = build_jobs(pool, asking, limit=1400)
    assert jobs.keys == [key_the_long_way(turns, asking)[0] for turns in pool[:1400]]
    assert jobs.rows == list(range(1400)) and (jobs.job_of_row[1400:] == BEYOND_LIMIT).all()
    assert np.flatnonzero(jobs.flag_delim).tolist() == [700]
    assert build_jobs([tuple(turns) for turns in pool], asking, 1400).keys == jobs.keys


# -- journal ---------------------------------------------------------------------------------

FIELDS = {
    "v": "1", "k": '"ab"', "t": "1.5", "r": "[3.0,4.5]", "why": "null", "raw": '"{}"', "n": "1",
    "u": "[100,20,0]", "m": '"m"', "c": "0.25", "ms": "7", "fp": '""', "p": "[0.25,0.75]",
    "more": "1", "half": "1",
}  # fmt: skip
# Values that full JSON reads, or refuses, each in its own way.
ODD = (
    "null", "0", "1", "-0", "-1", "1.0", "1e2", "1E+2", "1e999", "-1e999", "01", "1.", ".5", "+1",
    "NaN", "Infinity", "-Infinity", "true", '"5"', '"x"', '"a\\u00e9"', '"\\ud800"', '"\\x"',
    '"\\u12g4"', '"a\tb"', '"é"', '"a\\\\"', "[]", "[1]", "[1,2,3]", "[1,2,3,4]", "[1.5,2,3]",
    "[1, 2, 3]", "[1,2,3,]", "[-0,2,3]", "[NaN,1,2]", "[1e999,1,2]", "[true,1,2]", '["1",2,3]',
    "[[1],2,3]", "[999999999999999999,1,1]", "[9999999999999999999999,1,1]", "[1e39,1e-50,0.1]",
    "[0.1,0.30000000000000004,5e-324]", "{}", '{"a":[{}]}', "9" * 5000, "0." + "1" * 60,
    "[" * 50_000, '"', "",
)  # fmt: skip


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    fields = dict(FIELDS)
    for name in ("p", "more", "half", "raw"):
        if draw(st.booleans()):
            del fields[name]
    fields["k"] = draw(st.sampled_from(['"ab"', '"cd"', '"ef"']))
    for name in draw(st.lists(st.sampled_from(list(FIELDS)), max_size=1)):
        fields[name] = draw(st.sampled_from(ODD))
    if draw(st.booleans()):
        fields |= {"r": "null", "why": '"no_json"'}
    pairs = [f'"{name}":{value}' for name, value in fields.items()]
    if draw(st.integers(0, 9)) == 0:
        extra = ['"zz":1', '"k":"cd"', '"c":0.5', '"hb":1,"inflight":3,"usd":0.5', '"run":{}']
        pairs.append(draw(st.sampled_from(extra)))
    if draw(st.booleans()):
        pairs = draw(st.permutations(pairs))
    line = ("{" + ",".join(pairs) + "}").encode()
    match draw(st.integers(0, 19)):
        case 0:
            line = line[: draw(st.integers(0, len(line)))]
        case 1:
            line += draw(st.sampled_from([b" ", b"\r", b"\x0b", b"x", b"}", b"\xff", b"\x00"]))
        case 2:
            at = draw(st.integers(0, len(line)))
            line = line[:at] + bytes([draw(st.integers(0, 255))]) + line[at:]
    return line


def load_the_long_way(path: Path) -> Loaded:
    """The same journal with a space before every line: no line has the form it is written in."""
    data = b"\n".join(b" " + line for line in path.read_bytes().split(b"\n"))
    assert all(isinstance(found, bytes) for found in _core.read_records(data))
    spaced = path.with_suffix(".spaced")
    spaced.write_bytes(data)
    return load_journal(spaced)


@given(st.lists(lines(), max_size=12), st.sampled_from([b"", b"\n", b"\n\n"]))
def test_a_journal_loads_as_full_json_would_have_it(tmp_path_factory, found, end):
    path = tmp_path_factory.mktemp("journal") / "j.jsonl"
    path.write_bytes(b"\n".join(found) + end)
    assert repr(load_journal(path)) == repr(load_the_long_way(path))  # NaN equals itself in words


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", ODD, ids=lambda value: value[:20])
def test_no_odd_value_is_read_in_another_way(tmp_path, name, value):
    line = "{" + ",".join(f'"{n}":{value if n == name else v}' for n, v in FIELDS.items()) + "}"
    path = tmp_path / "j.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    assert repr(load_journal(path)) == repr(load_the_long_way(path))


def test_all_that_is_written_takes_the_short_way(tmp_path):
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    recorder = Recorder(journal, Spending(), keep_raw=True)
    chances = array("f", [0.25, 0.75]).tobytes()
    written = [
        Record((3.0, 4.5), None, True, False, "m-1", (612, 31, 512), chances),
        Record(None, "no_json", False, True, "m-1", (612, 31, 0), None),
        Record((0.0, 5.0), None, True, True, "", (0, 0, 0), b""),
    ]
    for key, record in zip("abc", written, strict=True):
        answer = Answer('né\n"\ud800\\', fingerprint="fp_é")
        cost = 1.7e-05 if key == "a" else None
        recorder.answer(key, Sample(0, "", None, 0), record, answer, cost=cost, seconds=0.5)
    failed = Record(None, "transport", True, False, "", (0, 0, 0))
    recorder.failure("d", Sample(0, "", None, 0), failed, "broken")
    journal.close()
    assert all(isinstance(found, tuple) for found in _core.read_records(path.read_bytes()))
    assert list(load_journal(path).records.values()) == [*written, failed]


def test_lines_longer_than_a_block_are_read_whole(tmp_path):
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    recorder = Recorder(journal, Spending(), keep_raw=False)
    record = Record((1.0,), None, True, False, "m" * 3_000_000, (1, 1, 0))
    for key in "abcd":
        recorder.answer(key, Sample(0, "", None, 0), record, Answer(""), cost=None, seconds=0)
    journal.close()
    loaded = load_journal(path)
    assert (list(loaded.records), loaded.unreadable) == (list("abcd"), 0)
