//! Keys of the requests that rate plain samples: the texts are joined and hashed, many at a time.
//!
//! A reader for the common case only. A sample that must be cut, holds what a chat template could take for
//! structure, or may have no text at all is not plain: the caller renders and hashes it by itself. Being not plain
//! costs time, never another key.

use blake2b_simd::many::{HashManyJob, hash_many, update_many};
use blake2b_simd::{Params, State};
use memchr::memchr3_iter;

/// What the frame of a turn takes of the budget, in bytes.
const TURN_FRAME: usize = 16;
const TAG_BYTES: usize = 4;
const KEY_BYTES: usize = 16;

/// A text with two slots, in pieces.
#[derive(Debug, Clone)]
struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
enum Piece {
    Literal(String),
    First,
    Second,
}

impl Template {
    fn new(text: &str, first: &str, second: &str) -> Self {
        let mut pieces = Vec::new();
        for (i, part) in text.split(first).enumerate() {
            if i > 0 {
                pieces.push(Piece::First);
            }
            for (j, literal) in part.split(second).enumerate() {
                if j > 0 {
                    pieces.push(Piece::Second);
                }
                pieces.push(Piece::Literal(literal.to_owned()));
            }
        }
        Self { pieces }
    }

    fn fill(&self, first: &str, second: &str, out: &mut String) {
        for piece in &self.pieces {
            out.push_str(match piece {
                Piece::Literal(text) => text,
                Piece::First => first,
                Piece::Second => second,
            });
        }
    }
}

/// What the requests of a run have in common.
#[derive(Debug, Clone)]
pub struct Form {
    turn: Template,
    user: Template,
    base: State,
    max_bytes: usize,
}

impl Form {
    /// The form of a run.
    ///
    /// `head` is what every hash begins with, `turn` has the slots `{role}` and `{content}`, `user` the slots
    /// `{sample}` and `{tag}`, all other braces are literal; `max_bytes` is the budget of a sample.
    #[must_use]
    pub fn new(head: &[u8], turn: &str, user: &str, max_bytes: usize) -> Self {
        let mut base = Params::new().hash_length(KEY_BYTES).to_state();
        base.update(head);
        Self {
            turn: Template::new(turn, "{role}", "{content}"),
            user: Template::new(user, "{sample}", "{tag}"),
            base,
            max_bytes,
        }
    }

    /// The turns (role, content) of a plain sample as one text, joined by newlines; `None` if it is not plain.
    ///
    /// Plain is a sample that has a visible ASCII character, names every role, keeps the budget (bytes of the
    /// contents, and 16 for each turn) and holds no [structure](is_plain). O(bytes).
    #[must_use]
    pub fn body<S: AsRef<str>>(&self, turns: &[(S, S)]) -> Option<String> {
        let size: usize = turns.iter().map(|(_, content)| content.as_ref().len() + TURN_FRAME).sum();
        if size > self.max_bytes {
            return None;
        }
        let mut body = String::with_capacity(size + TURN_FRAME);
        let mut speaks = false;
        for (i, (role, content)) in turns.iter().enumerate() {
            let (role, content) = (role.as_ref(), content.as_ref());
            if role.is_empty() || !is_plain(content.as_bytes()) {
                return None;
            }
            speaks |= content.bytes().any(|byte| byte.is_ascii_graphic());
            if i > 0 {
                body.push('\n');
            }
            self.turn.fill(role, content, &mut body);
        }
        speaks.then_some(body)
    }

    /// Key and bytes of the user message for every sample text.
    ///
    /// The tag is `hex(blake2b-32(body))`, the message the user template filled with text and tag, the key
    /// `hex(blake2b-128(head | message))`. O(bytes); four messages or more are hashed at a time where the processor
    /// can.
    #[must_use]
    pub fn keys(&self, bodies: &[String]) -> Vec<(String, usize)> {
        let mut params = Params::new();
        params.hash_length(TAG_BYTES);
        let mut tags: Vec<_> = bodies.iter().map(|body| HashManyJob::new(&params, body.as_bytes())).collect();
        hash_many(&mut tags);
        let users: Vec<String> = bodies
            .iter()
            .zip(&tags)
            .map(|(body, tag)| {
                let mut user = String::with_capacity(body.len() + 2 * TURN_FRAME + TURN_FRAME);
                self.user.fill(body, &tag.to_hash().to_hex(), &mut user);
                user
            })
            .collect();
        let mut states = vec![self.base.clone(); users.len()];
        update_many(states.iter_mut().zip(&users));
        states
            .iter()
            .zip(&users)
            .map(|(state, user)| (state.finalize().to_hex().to_string(), user.len()))
            .collect()
    }
}

/// Whether a text holds nothing that could be structure of a chat template: a necessary condition, by the first
/// letters only.
///
/// Structure is `<` before (`/` and) `sample`, `s>`, `sys>>`, `think>`, `start_of_turn>`, `end_of_turn>`, `bos>`,
/// `eos>`, `|` or a full-width bar; `[` before (`/` and) `inst]`; `###` at the start of a line before `system`,
/// `user`, `assistant`, `tool`; in any case, and letters beyond ASCII may be the same in another case.
#[must_use]
pub fn is_plain(text: &[u8]) -> bool {
    memchr3_iter(b'<', b'[', b'#', text).all(|at| {
        let rest = &text[at + 1..];
        match text[at] {
            b'<' => !opens_tag(rest),
            b'[' => !matches!(letters(rest), Some((b'i', b'n') | (0x80.., _) | (_, 0x80..))),
            _ => !(at == 0 || text[at - 1] == b'\n') || !opens_turn(rest),
        }
    })
}

/// The first two letters after a slash that may be there, in lower case.
fn letters(rest: &[u8]) -> Option<(u8, u8)> {
    match rest.strip_prefix(b"/").unwrap_or(rest) {
        [a, b, ..] => Some((a.to_ascii_lowercase(), b.to_ascii_lowercase())),
        _ => None,
    }
}

fn opens_tag(rest: &[u8]) -> bool {
    matches!(
        letters(rest),
        Some(
            (b's', b'a' | b'>' | b'y' | b't')
                | (b't', b'h')
                | (b'e', b'n' | b'o')
                | (b'b', b'o')
                | (b'<' | b'|' | b'/' | 0x80.., _)
                | (_, 0x80..)
        )
    )
}

fn opens_turn(rest: &[u8]) -> bool {
    let Some(title) = rest.strip_prefix(b"##") else { return false };
    let name = title.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    name.is_some_and(|byte| matches!(byte.to_ascii_lowercase(), b's' | b'u' | b'a' | b't' | 0x80..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structure_is_never_plain() {
        for text in [
            "<sample id",
            "</sample>",
            "a<S>",
            "</s>",
            "<<SYS>>",
            "<</SYS>>",
            "</<sys>>",
            "<//sys>>",
            "<think>",
            "</Think>",
            "<start_of_turn>",
            "</end_of_turn>",
            "<bos>",
            "<EOS>",
            "<|x|>",
            "<｜",
            "<ſ>",
            "<sſ",
            "[INST]",
            "[/inst]",
            "[ınst]",
            "### user:",
            "x\n###\tAssistant :",
            "###tool:",
            "###ſystem:",
        ] {
            assert!(!is_plain(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn code_and_headings_are_plain() {
        for text in [
            "",
            "a < b",
            "<div></div><p>",
            "<",
            "<s",
            "</",
            "[",
            "[0]",
            "[a]",
            "### Input",
            "x ### user:",
            "## user:",
            "#",
            "<b>",
            "vector<int>",
            "[[1, 2]]",
            "####  user:",
        ] {
            assert!(is_plain(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_sample_is_plain_if_it_is_sent_as_it_is() {
        let form = Form::new(b"", "### {role}: {content} {", "{tag} {sample}", 64);
        let text = form.body(&[("user", "{role} 2 + 2"), ("assistant", "4")]);
        assert_eq!(text.as_deref(), Some("### user: {role} 2 + 2 {\n### assistant: 4 {"));
        assert_eq!(form.body(&[("user", &*"x".repeat(49))]), None);
        assert!(form.body(&[("user", &*"x".repeat(48))]).is_some());
        for content in ["", " \n", "\u{2003}"] {
            assert_eq!(form.body(&[("user", content)]), None);
        }
        assert_eq!(form.body(&[("", "x")]), None);
        assert_eq!(form.body::<&str>(&[]), None);
    }

    #[test]
    fn many_keys_are_those_of_one_by_one() {
        let form = Form::new(&[7; 300], "{role}{content}", "<{tag}>{sample}</{tag}>", 10_000);
        let bodies: Vec<String> = (0..40).map(|i| "é".repeat(i * 37)).collect();
        let keys = form.keys(&bodies);
        for (body, (key, size)) in bodies.iter().zip(&keys) {
            let tag = Params::new().hash_length(4).hash(body.as_bytes()).to_hex();
            let user = format!("<{tag}>{body}</{tag}>");
            let one = form.base.clone().update(user.as_bytes()).finalize().to_hex();
            assert_eq!((key.as_str(), *size), (one.as_str(), user.len()));
        }
    }
}
