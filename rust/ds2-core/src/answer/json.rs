//! A small lenient JSON: strict JSON, and single quotes, trailing commas, Python literals and doubled braces.

use std::ops::Range;

/// Deepest nesting that is read; deeper is not a rating.
const DEPTH: usize = 32;

/// The bytes of the text that write a number; empty where none do.
#[derive(Debug, Clone, Default)]
pub(super) struct Place(pub(super) Range<usize>);

impl PartialEq for Place {
    /// Where a value stands does not make it another value.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A value, as far as ratings need it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// Fields in the order given, names as given; a name may come twice.
    Object(Vec<(String, Value)>),
    Array(Vec<Value>),
    Text(String, Place),
    Number(f64, Place),
    /// true, false, null, NaN, Infinity: everything that is never a rating.
    Other,
}

/// `text` as one value; `None` if it is anything else.
pub(super) fn read(text: &str) -> Option<Value> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(DEPTH)?;
    reader.space();
    (reader.at == text.len()).then_some(value)
}

/// The JSON number `text` begins with, and what follows it.
pub(super) fn leading_number(text: &str) -> Option<(f64, &str)> {
    let bytes = text.as_bytes();
    let digits = |from: usize| from + bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let start = usize::from(bytes.first() == Some(&b'-'));
    let mut end = digits(start);
    if end == start || (bytes[start] == b'0' && end > start + 1) {
        return None;
    }
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if fraction == end + 1 {
            return None;
        }
        end = fraction;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(sign);
        if exponent == sign {
            return None;
        }
        end = exponent;
    }
    Some((text[..end].parse().ok()?, &text[end..]))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Skip white space and take `byte` if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        let depth = depth.checked_sub(1)?;
        self.space();
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            quote @ (b'"' | b'\'') => {
                let place = self.quoted_number();
                self.string(quote).map(|text| Value::Text(text, place))
            }
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.literal(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        self.space();
        if self.peek() == Some(b'{') {
            // `{{...}}`: what a model makes of a template it has seen.
            let inner = self.value(depth)?;
            return self.take(b'}').then_some(inner);
        }
        let mut fields = Vec::new();
        while !self.take(b'}') {
            let quote = self.peek().filter(|b| matches!(b, b'"' | b'\''))?;
            let name = self.string(quote)?;
            if !self.take(b':') {
                return None;
            }
            fields.push((name, self.value(depth)?));
            if !self.take(b',') {
                return self.take(b'}').then_some(Value::Object(fields));
            }
        }
        Some(Value::Object(fields))
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut items = Vec::new();
        while !self.take(b']') {
            items.push(self.value(depth)?);
            if !self.take(b',') {
                return self.take(b']').then_some(Value::Array(items));
            }
        }
        Some(Value::Array(items))
    }

    fn string(&mut self, quote: u8) -> Option<String> {
        self.at += 1;
        let mut out = String::new();
        let mut chars = self.text[self.at..].char_indices();
        while let Some((i, c)) = chars.next() {
            if c == char::from(quote) {
                self.at += i + 1;
                return Some(out);
            }
            if c != '\\' {
                out.push(c);
                continue;
            }
            match chars.next()?.1 {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                'u' => {
                    let mut code = 0;
                    for _ in 0..4 {
                        code = code * 16 + chars.next()?.1.to_digit(16)?;
                    }
                    // Half a surrogate pair is no letter of any criterion.
                    out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                other => out.push(other),
            }
        }
        None
    }

    fn number(&mut self) -> Option<Value> {
        let start = self.at;
        let (value, rest) = leading_number(&self.text[start..])?;
        self.at = self.text.len() - rest.len();
        self.ends().then_some(Value::Number(value, Place(start..self.at)))
    }

    /// The place of the number that the string at hand begins with, if it is written without escapes.
    fn quoted_number(&self) -> Place {
        let inside = self.text[self.at + 1..].trim_start();
        let start = self.text.len() - inside.len();
        leading_number(inside)
            .map_or_else(Place::default, |(_, rest)| Place(start..self.text.len() - rest.len()))
    }

    fn literal(&mut self) -> Option<Value> {
        const WORDS: [&str; 9] = ["true", "True", "false", "False", "null", "None", "NaN", "nan", "Infinity"];
        let rest = &self.text[self.at..];
        let word = WORDS.iter().find(|word| rest.starts_with(**word))?;
        self.at += word.len();
        self.ends().then_some(Value::Other)
    }

    /// Whether a bare word ends here.
    fn ends(&self) -> bool {
        self.peek().is_none_or(|b| b.is_ascii_whitespace() || b",]}".contains(&b))
    }
}
