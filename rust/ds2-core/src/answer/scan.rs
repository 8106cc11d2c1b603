//! From free text to the pieces that may be JSON objects; every function is one pass.

use std::borrow::Cow;

/// Longest piece of an answer that is looked at, in bytes: ratings come last and are short.
pub(super) const CAP: usize = 16 * 1024;

/// `text` without `<think>...</think>`; thinking that was never opened or never closed goes too. And from which
/// byte of `text` on nothing was left out, so that what is found there has its place counted from the end.
pub(super) fn without_thinking(text: &str) -> (Cow<'_, str>, usize) {
    const MARK: &str = "think>";
    let mut kept = String::new();
    let mut thinking = false;
    let mut from = 0;
    for (at, _) in text.match_indices(MARK) {
        if text[..at].ends_with("</") {
            if !thinking {
                kept.clear();
            }
            thinking = false;
            from = at + MARK.len();
        } else if text[..at].ends_with('<') && !thinking {
            kept.push_str(&text[from..at - 1]);
            thinking = true;
        }
    }
    if from == 0 && !thinking {
        return (Cow::Borrowed(text), 0);
    }
    if thinking {
        return (Cow::Owned(kept), text.len());
    }
    kept.push_str(&text[from..]);
    (Cow::Owned(kept), from)
}

/// The last `cap` bytes of `text`, from a character boundary on.
pub(super) fn tail(text: &str, cap: usize) -> &str {
    let mut start = text.len().saturating_sub(cap);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// The largest balanced `{...}` in order: disjoint byte ranges, so reading them all is linear too.
///
/// With `quotes`, braces inside strings do not count; a string opens only where JSON allows one, that is
/// after `{`, `[`, `,` or `:`, so an apostrophe in prose is none.
pub(super) fn objects(text: &str, quotes: bool) -> Vec<(usize, usize)> {
    let mut open: Vec<usize> = Vec::new();
    let mut found: Vec<(usize, usize)> = Vec::new();
    let mut quote: Option<u8> = None;
    let mut escaped = false;
    let mut before = 0;
    for (i, byte) in text.bytes().enumerate() {
        if let Some(mark) = quote {
            if escaped {
                escaped = false;
            } else if byte == b'\\' {
                escaped = true;
            } else if byte == mark {
                quote = None;
            }
        } else {
            match byte {
                b'{' => open.push(i),
                b'}' => {
                    if let Some(start) = open.pop() {
                        while found.last().is_some_and(|&(inner, _)| inner > start) {
                            found.pop();
                        }
                        found.push((start, i + 1));
                    }
                }
                b'"' | b'\'' if quotes && !open.is_empty() && b"{[,:".contains(&before) => quote = Some(byte),
                _ => {}
            }
        }
        if !byte.is_ascii_whitespace() {
            before = byte;
        }
    }
    found
}
