//! Text -> tokens: lower-cased words, numbers, single symbols, and character pairs where a script writes no
//! spaces.
//!
//! A token is known by the 64-bit hash of its characters alone, so nothing here allocates per token. Two of
//! a million different tokens share a hash with probability 3e-8.
//!
//! Why these tokens (52,002 Alpaca samples, 10 neighbors of 4,000 queries, Spearman of their mean rating with
//! the own one, raters gpt-4o-mini / llama-3.1-8b / mistral-7b; scikit-learn, dimension 256, 2026-11):
//!
//! | tokens | rho | with `MiniLM` |
//! |---|---|---|
//! | words alone | .622 / .366 / .320 | .651 |
//! | words and single symbols | .622 / .370 / .319 | .656 |
//! | **letters, digits and symbols apart** | **.623 / .374 / .323** | .655 |
//! | every digit its own token | .623 / .366 / .319 | .652 |
//! | digits replaced by their number | .622 / .358 / .324 | .653 |
//! | symbols in runs (`...`, `!=`) | .620 / .370 / .320 | .657 |
//! | case kept | .615 / .375 / .303 | .654 |
//! | cut after 6 letters | .623 / .366 / .319 | .658 |
//! | words, symbols and pairs of words (131,072 terms) | .618 / .369 / .330 | .653 |
//!
//! The standard error of a rho is about .01: what is kept is the simplest of the equals. Pairs of words cost
//! five times the terms and gain nothing.

/// Words longer than this many characters are cut: base64 and hashes must not make a token of a megabyte.
const LONGEST_WORD: usize = 64;

/// What a character is to the tokenizer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Part of a word.
    Letter,
    /// Part of a number.
    Digit,
    /// A letter of a script that puts no space between words.
    Dense,
    /// Belongs to the character before it, of whatever kind: accents, vowel signs, joiners.
    Mark,
    /// A token of its own: punctuation, mathematical signs, emoji.
    Symbol,
    /// Space and control characters, which only separate.
    Gap,
}

fn kind(c: char) -> Kind {
    match c {
        'a'..='z' | 'A'..='Z' => Kind::Letter,
        '0'..='9' => Kind::Digit,
        '\0'..=' ' | '\x7f' => Kind::Gap,
        '!'..='~' => Kind::Symbol,
        _ if is_mark(c) => Kind::Mark,
        _ if is_dense(c) => Kind::Dense,
        _ if c.is_numeric() => Kind::Digit,
        _ if c.is_alphabetic() => Kind::Letter,
        _ if c.is_whitespace() || c.is_control() || matches!(c, '\u{feff}' | '\u{200b}') => Kind::Gap,
        _ => Kind::Symbol,
    }
}

/// Signs that are no letters to Unicode's `Alphabetic` property but stand inside words. Without them an
/// accent in decomposed form, or a virama, would cut a word in two.
fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}'                                         // combining accents
        | '\u{591}'..='\u{5bd}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{670}' // Hebrew, Arabic
        | '\u{93c}' | '\u{94d}' | '\u{9bc}' | '\u{9cd}' | '\u{a3c}' | '\u{a4d}' | '\u{abc}' | '\u{acd}'
        | '\u{b3c}' | '\u{b4d}' | '\u{bcd}' | '\u{c4d}' | '\u{cbc}' | '\u{ccd}' | '\u{d4d}' | '\u{dca}'
        | '\u{e31}' | '\u{e34}'..='\u{e3a}' | '\u{e47}'..='\u{e4e}'   // Thai
        | '\u{eb1}' | '\u{eb4}'..='\u{ebc}' | '\u{ec8}'..='\u{ece}'   // Lao
        | '\u{f71}'..='\u{f84}'                                       // Tibetan
        | '\u{102b}'..='\u{103e}' | '\u{17b4}'..='\u{17d3}'           // Myanmar, Khmer
        | '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}' // joiners, variants
    )
}

/// Scripts whose words are not told apart by spaces, and Hangul, whose words carry their particles.
fn is_dense(c: char) -> bool {
    matches!(c,
        '\u{e01}'..='\u{e46}' | '\u{e80}'..='\u{ec6}'                 // Thai, Lao
        | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17b3}'           // Myanmar, Khmer
        | '\u{3005}'..='\u{3007}' | '\u{3041}'..='\u{30ff}'           // iteration marks, Hiragana, Katakana
        | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{9fff}'           // Katakana, Han
        | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}'           // Hangul, Han
        | '\u{ff66}'..='\u{ff9f}' | '\u{20000}'..='\u{323af}'         // half-width Katakana, Han
    ) && !matches!(c, '\u{30fb}' | '\u{30a0}')
}

/// A 64-bit hash fed character by character (multiply and fold, then a final avalanche).
#[derive(Clone, Copy)]
struct Hash(u64);

impl Hash {
    /// Different kinds of token start differently, so that none can take the place of another.
    const fn new(kind: Kind) -> Self {
        Self(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(kind as u64 + 1))
    }

    fn push(&mut self, c: char) {
        let product = u128::from(self.0 ^ u64::from(u32::from(c)).wrapping_add(0xa076_1d64_78bd_642f))
            * 0xe703_7ed1_a0b4_28db_u128;
        #[expect(clippy::cast_possible_truncation, reason = "the two halves are taken apart")]
        let (low, high) = (product as u64, (product >> 64) as u64);
        self.0 = low ^ high;
    }

    fn finish(self) -> u64 {
        mix(self.0)
    }
}

/// The finalizer of `SplitMix64`: every bit of the input moves every bit of the output.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Splits texts and counts their tokens; the buffer is used again from text to text.
#[derive(Default)]
pub(crate) struct Tokenizer {
    tokens: Vec<u64>,
}

impl Tokenizer {
    /// The tokens of `text`, in reading order.
    pub(crate) fn read(&mut self, text: &str) -> &[u64] {
        self.tokens.clear();
        split(text, &mut self.tokens);
        &self.tokens
    }

    /// Call `each(token, count)` once for every different token of `text`, in order of the hash.
    pub(super) fn count(&mut self, text: &str, mut each: impl FnMut(u64, u32)) {
        self.tokens.clear();
        split(text, &mut self.tokens);
        self.tokens.sort_unstable();
        for equal in self.tokens.chunk_by(|a, b| a == b) {
            each(equal[0], u32::try_from(equal.len()).unwrap_or(u32::MAX));
        }
    }
}

/// The run of characters that is being read.
struct Run<'a> {
    tokens: &'a mut Vec<u64>,
    kind: Kind,
    hash: Hash,
    /// Characters of the open word or number.
    length: usize,
    /// The unit before the open one, in a dense script.
    previous: Option<u64>,
    /// Whether this dense run has made a pair already.
    paired: bool,
}

/// Append the token hashes of `text` to `tokens`, in reading order.
fn split(text: &str, tokens: &mut Vec<u64>) {
    let mut run =
        Run { tokens, kind: Kind::Gap, hash: Hash::new(Kind::Gap), length: 0, previous: None, paired: false };
    for c in text.chars() {
        run.step(c);
    }
    run.close();
}

impl Run<'_> {
    #[inline]
    fn step(&mut self, c: char) {
        let kind = kind(c);
        match kind {
            Kind::Letter | Kind::Digit if kind == self.kind => self.extend(c),
            Kind::Dense if self.kind == Kind::Dense => {
                self.end_unit();
                self.hash = Hash::new(Kind::Dense);
                self.hash.push(c);
            }
            Kind::Mark if matches!(self.kind, Kind::Letter | Kind::Dense) => self.hash.push(c),
            Kind::Mark => {}
            _ => {
                self.close();
                self.open(kind, c);
            }
        }
    }

    fn open(&mut self, kind: Kind, c: char) {
        self.kind = kind;
        self.hash = Hash::new(kind);
        self.length = 0;
        match kind {
            Kind::Letter | Kind::Digit => self.extend(c),
            Kind::Dense | Kind::Symbol => self.hash.push(c),
            Kind::Mark | Kind::Gap => {}
        }
    }

    #[inline]
    fn extend(&mut self, c: char) {
        self.length += 1;
        if self.length > LONGEST_WORD {
            return;
        }
        match c {
            'ς' => self.hash.push('σ'),
            _ if c.is_ascii() => self.hash.push(c.to_ascii_lowercase()),
            _ => c.to_lowercase().for_each(|lower| self.hash.push(lower)),
        }
    }

    /// Close a character of a dense script: pair it with the one before.
    fn end_unit(&mut self) {
        let unit = self.hash.finish();
        if let Some(previous) = self.previous {
            self.tokens.push(mix(previous.rotate_left(17) ^ unit));
            self.paired = true;
        }
        self.previous = Some(unit);
    }

    /// Close the run and hand over what is left of it. A dense character that stands alone is a token.
    fn close(&mut self) {
        match self.kind {
            Kind::Letter | Kind::Digit | Kind::Symbol => self.tokens.push(self.hash.finish()),
            Kind::Dense => {
                self.end_unit();
                if !self.paired {
                    self.tokens.extend(self.previous);
                }
            }
            Kind::Mark | Kind::Gap => {}
        }
        self.previous = None;
        self.paired = false;
        self.kind = Kind::Gap;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(text: &str) -> Vec<u64> {
        let mut tokens = Vec::new();
        split(text, &mut tokens);
        tokens
    }

    /// The tokens of a text whose tokens stand apart already.
    fn each(parts: &[&str]) -> Vec<u64> {
        parts.iter().flat_map(|part| tokens(part)).collect()
    }

    #[test]
    fn words_numbers_and_symbols_are_told_apart() {
        assert_eq!(
            tokens("Don't panic2day: 42!"),
            each(&["don", "'", "t", "panic", "2", "day", ":", "42", "!"])
        );
        assert_eq!(tokens("x_1 += y\t;\n\n"), each(&["x", "_", "1", "+", "=", "y", ";"]));
        assert_eq!(tokens("a.b").len(), 3);
    }

    #[test]
    fn case_is_folded_in_every_script() {
        assert_eq!(tokens("ÉCOLE Straße ΟΔΟΣ ПРИВЕТ"), tokens("école straße οδος привет"));
    }

    #[test]
    fn marks_stay_inside_their_word() {
        assert_eq!(tokens("cafe\u{301} noir").len(), 2);
        assert_eq!(tokens("क्या हिन्दी").len(), 2);
        assert_eq!(tokens("كِتَابٌ").len(), 1);
        assert_eq!(tokens("می\u{200c}خواهم").len(), 1);
    }

    #[test]
    fn scripts_without_spaces_give_pairs() {
        assert_eq!(tokens("東京都").len(), 2);
        assert_eq!(tokens("東").len(), 1);
        assert_eq!(tokens("東京都")[0], tokens("東京")[0]);
        assert_eq!(tokens("東京都")[1], tokens("京都")[0]);
        assert_ne!(tokens("東京"), tokens("京東"));
        assert_eq!(tokens("สวัสดี").len(), 3);
        assert_eq!(tokens("한국어 문장").len(), 3);
        assert_eq!(tokens("iPhone東京15"), each(&["iphone", "東京", "15"]));
    }

    #[test]
    fn emoji_are_tokens_whatever_their_skin() {
        assert_eq!(tokens("ok👍🏽"), each(&["ok", "👍"]));
        assert_eq!(tokens("❤\u{fe0f}❤"), each(&["❤", "❤"]));
        assert_eq!(tokens("👩\u{200d}💻").len(), 2);
    }

    #[test]
    fn separators_give_nothing() {
        for text in ["", " \t\r\n", "\0\0\u{1}", "\u{feff}\u{200b}", "\u{3000}\u{a0}", "\u{301}"] {
            assert!(tokens(text).is_empty(), "{text:?}");
        }
    }

    #[test]
    fn a_word_of_a_megabyte_is_one_token() {
        let long = "a".repeat(1 << 20);
        assert_eq!(tokens(&long), tokens(&"a".repeat(LONGEST_WORD)));
        assert_ne!(tokens(&long), tokens(&"a".repeat(LONGEST_WORD - 1)));
    }

    #[test]
    fn counts_are_of_whole_texts() {
        let mut counted = Vec::new();
        Tokenizer::default().count("b a b, B", |token, count| counted.push((token, count)));
        let mut expected = vec![(tokens("a")[0], 1), (tokens("b")[0], 3), (tokens(",")[0], 1)];
        expected.sort_unstable();
        assert_eq!(counted, expected);
    }

    proptest! {
        #[test]
        fn a_space_between_two_texts_joins_their_tokens(a in "\\PC{0,40}", b in "\\PC{0,40}") {
            prop_assert_eq!(tokens(&format!("{a} {b}")), [tokens(&a), tokens(&b)].concat());
        }

        #[test]
        fn different_words_have_different_hashes(a in "[a-z]{1,12}", b in "[a-z]{1,12}") {
            prop_assert_eq!(tokens(&a) == tokens(&b), a == b);
        }
    }
}
