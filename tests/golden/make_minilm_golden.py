"""Writes minilm_golden.npz: vectors of all-MiniLM-L6-v2 by sentence-transformers itself.

Run once, outside of the project's environment, with sentence-transformers 6.2 and torch:

    python make_minilm_golden.py FOLDER_OF_ALL_MINILM_L6_V2 minilm_golden.npz

The texts are made up for this purpose. The file holds `texts` (a JSON list), `vectors` (float32,
unit rows) and `max_seq_length`. Texts are encoded in batches of 8 in the order given.
"""

from __future__ import annotations

import json
import re
import sys

import numpy as np

SHORT = """
Write a haiku about rivers.
Explain photosynthesis to a ten-year-old.
What is the capital of Australia?
Translate 'good morning' into French, German and Japanese.
def add(a, b):\\n    return a + b
SELECT name, COUNT(*) FROM users GROUP BY name HAVING COUNT(*) > 1;
Solve 3x + 7 = 22 and show each step.
La vie est belle, mais le café est froid.
Der schnelle braune Fuchs springt über den faulen Hund.
机器学习是人工智能的一个分支。
日本の首都は東京です。
Привет, как дела?
مرحبا بالعالم
नमस्ते दुनिया
🙂🚀🔥 emoji only 🎉

\\x20\\x20\\x20
\\t\\n
a
I
...
!!! ??? ###
[SEP] [CLS] [PAD] literal special tokens
<script>alert('x')</script>
http://example.org/path?query=1&b=2
user@example.org wrote: see attachment
1234567890 3.14159 1e-9 0xFF
ALL CAPS SHOUTING SENTENCE
MiXeD CaSe tExT
naïve café résumé coöperate
A\\u200bzero\\u200bwidth\\u200bspace
tab\\tseparated\\tvalues\\there
line one\\nline two\\n\\nline four
###user: What is DS2?\\n###assistant: A method for choosing data.
- item one\\n- item two\\n- item three
| a | b |\\n|---|---|\\n| 1 | 2 |
\\\\frac{1}{2} + \\\\sqrt{x}
The the the the the the the the the the
supercalifragilisticexpialidocious antidisestablishmentarianism
word
"""
ESCAPES = {"\\x20": " ", "\\t": "\t", "\\n": "\n", "\\u200b": "\u200b"}
SENTENCE = "The committee reviewed the proposal and found that"
REPEATS = (5, 20, 30, 31, 32, 33, 40, 60, 120, 400)
REPORTS = 46


def make_texts() -> list[str]:
    """Return the 96 texts: short ones of many kinds, long ones around the limit, made reports."""
    short = [unescape(line) for line in SHORT[1:-1].split("\n")]
    long = [" ".join([SENTENCE] * count) for count in REPEATS]
    return short + long + [report(number) for number in range(REPORTS)]


def unescape(line: str) -> str:
    """Replace the few escapes that keep each short text on one line."""
    for escape, character in ESCAPES.items():
        # A doubled backslash is one of the text, not the begin of an escape.
        line = re.sub(rf"(?<!\\){re.escape(escape)}", character, line)
    return line.replace("\\\\", "\\")


def report(number: int) -> str:
    """Return a text whose length grows with `number` modulo 23."""
    sections = " ".join(
        f"Section {section} covers topic {(number * section) % 17} in {section + 3} pages."
        for section in range(number % 23)
    )
    return (
        f"Instruction: summarise report number {number}. Input: {sections} "
        f"Output: the report has {number % 23} sections."
    )


def main(folder: str, target: str) -> None:
    """Encode the texts and write the file."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder, device="cpu")
    texts = make_texts()
    vectors = model.encode(
        texts, batch_size=8, convert_to_numpy=True, normalize_embeddings=True
    ).astype(np.float32)
    np.savez_compressed(
        target,
        texts=np.array(json.dumps(texts, ensure_ascii=False)),
        vectors=vectors,
        max_seq_length=model.max_seq_length,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
