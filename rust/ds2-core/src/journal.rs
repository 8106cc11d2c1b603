//! Lines of a rating journal in the form they are written, read in one pass.
//!
//! A reader for the common case only: it takes a strict subset of JSON, in which a value can mean one thing. What it
//! does not take (another form, a heartbeat, a damaged line) is none of its business: the caller reads such a line
//! as full JSON and decides. So a `None` is never an error, and a record is never other than full JSON would have
//! it.

#![expect(clippy::option_option, reason = "a field that is absent is not one that is null")]

use std::ops::Range;

/// Longest number that is taken, in bytes: what is written takes 24 at most.
const NUMBER: usize = 32;
/// Most digits of a whole number that is taken; fits an `i64`.
const DIGITS: usize = 18;

/// A record as it stands in its line; texts are ASCII without escapes.
#[derive(Debug, Clone, PartialEq)]
pub struct Record<'a> {
    /// Identity of the request.
    pub key: &'a str,
    /// The list of ratings as written, for [`numbers`]; `None` if the answer gave none.
    pub ratings: Option<&'a str>,
    /// Why there are none.
    pub why: Option<&'a str>,
    /// Tokens in, out, and cached.
    pub usage: [i64; 3],
    /// Dollars, finite and not negative; `None` if no price was known.
    pub cost: Option<f64>,
    /// The model as it named itself.
    pub model: &'a str,
    /// The list of probabilities as written, for [`numbers`]; `None` if the provider was not asked.
    pub chances: Option<&'a str>,
    /// The sample was to be asked again.
    pub more: bool,
    /// The sample was sent at half its length.
    pub half: bool,
}

/// A line as a record, or `None` if it is not in the form that is written.
///
/// Taken is one flat object of the fields `v` (1), `k`, `t`, `r`, `why`, `raw`, `n`, `u`, `m`, `c`, `ms`, `fp`, `p`,
/// `more` (1), `half` (1), each once at most, in any order, without white space between them, in ASCII; `v`, `k`,
/// `r`, `why`, `u`, `m` and `c` must be there. Numbers are finite, not negative and short. O(bytes), no allocation.
#[must_use]
pub fn read_record(line: &[u8]) -> Option<Record<'_>> {
    if !line.is_ascii() {
        return None;
    }
    let mut reader = Reader { text: str::from_utf8(line).ok()?, at: 0 };
    reader.take(b'{')?;
    let mut fields = Fields::default();
    loop {
        let name = reader.plain_text()?;
        reader.take(b':')?;
        fields.read(name, &mut reader)?;
        if reader.take(b',').is_none() {
            break;
        }
    }
    reader.take(b'}')?;
    (reader.at == line.len()).then_some(())?;
    fields.record()
}

/// The numbers of a list that [`read_record`] has taken, in order.
pub fn numbers(list: &str) -> impl Iterator<Item = f64> + '_ {
    // A number that was taken is one that Rust reads too.
    list.trim_matches(['[', ']']).split(',').filter_map(|number| number.parse().ok())
}

/// Fields met so far; `Some` is met, whatever the value.
#[derive(Default)]
struct Fields<'a> {
    version: Option<()>,
    key: Option<&'a str>,
    ratings: Option<Option<&'a str>>,
    why: Option<Option<&'a str>>,
    usage: Option<[i64; 3]>,
    cost: Option<Option<f64>>,
    model: Option<&'a str>,
    chances: Option<&'a str>,
    more: Option<()>,
    half: Option<()>,
    time: Option<()>,
    raw: Option<()>,
    requests: Option<()>,
    latency: Option<()>,
    fingerprint: Option<()>,
}

impl<'a> Fields<'a> {
    fn read(&mut self, name: &str, reader: &mut Reader<'a>) -> Option<()> {
        match name {
            "v" => once(&mut self.version, reader.one()?),
            "k" => once(&mut self.key, reader.plain_text()?),
            "r" => once(&mut self.ratings, reader.unless_null(Reader::list)?),
            "why" => once(&mut self.why, reader.unless_null(Reader::plain_text)?),
            "u" => once(&mut self.usage, reader.usage()?),
            "c" => once(&mut self.cost, reader.unless_null(Reader::number)?),
            "m" => once(&mut self.model, reader.plain_text()?),
            "p" => once(&mut self.chances, reader.list()?),
            "more" => once(&mut self.more, reader.one()?),
            "half" => once(&mut self.half, reader.one()?),
            "t" => once(&mut self.time, reader.number().map(drop)?),
            "raw" => once(&mut self.raw, reader.unless_null(Reader::any_text).map(drop)?),
            "n" => once(&mut self.requests, reader.number().map(drop)?),
            "ms" => once(&mut self.latency, reader.number().map(drop)?),
            "fp" => once(&mut self.fingerprint, reader.any_text()?),
            _ => None,
        }
    }

    fn record(self) -> Option<Record<'a>> {
        self.version?;
        Some(Record {
            key: self.key?,
            ratings: self.ratings?,
            why: self.why?,
            usage: self.usage?,
            cost: self.cost?,
            model: self.model?,
            chances: self.chances,
            more: self.more.is_some(),
            half: self.half.is_some(),
        })
    }
}

/// Fill an empty place: of a field that comes twice, which one counts is not decided here.
fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.rest().first() == Some(&byte)).then(|| self.at += 1)
    }

    /// The next `size` bytes, which are read.
    fn pass(&mut self, size: usize) -> &'a str {
        let start = self.at;
        self.at += size;
        &self.text[start..self.at]
    }

    fn unless_null<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.rest().starts_with(b"null") {
            self.at += 4;
            return Some(None);
        }
        read(self).map(Some)
    }

    fn one(&mut self) -> Option<()> {
        (self.whole()? == 1).then_some(())
    }

    /// A string without escapes.
    fn plain_text(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let size = self.rest().iter().position(|&b| ends_run(b))?;
        let text = self.pass(size);
        self.take(b'"').map(|()| text)
    }

    /// A string whose contents do not matter, but must be a string.
    fn any_text(&mut self) -> Option<()> {
        self.take(b'"')?;
        loop {
            self.at += self.rest().iter().position(|&b| ends_run(b))?;
            match self.rest() {
                [b'"', ..] => return self.take(b'"'),
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.at += 2,
                [b'\\', b'u', a, b, c, d, ..]
                    if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) =>
                {
                    self.at += 6;
                }
                _ => return None,
            }
        }
    }

    /// A number in the form of JSON, without a sign.
    fn digits_and_more(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        let digits =
            |from: usize| from..from + rest[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let Range { end: mut size, .. } = digits(0);
        if size == 0 || (rest[0] == b'0' && size > 1) {
            return None;
        }
        if rest.get(size) == Some(&b'.') {
            let fraction = digits(size + 1);
            if fraction.is_empty() {
                return None;
            }
            size = fraction.end;
        }
        if matches!(rest.get(size), Some(b'e' | b'E')) {
            let exponent = digits(size + 1 + usize::from(matches!(rest.get(size + 1), Some(b'+' | b'-'))));
            if exponent.is_empty() {
                return None;
            }
            size = exponent.end;
        }
        (size <= NUMBER).then(|| self.pass(size))
    }

    fn number(&mut self) -> Option<f64> {
        let value: f64 = self.digits_and_more()?.parse().ok()?;
        value.is_finite().then_some(value)
    }

    fn whole(&mut self) -> Option<i64> {
        let text = self.digits_and_more()?;
        (text.len() <= DIGITS).then(|| text.parse().ok())?
    }

    /// A list of numbers, brackets included.
    fn list(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.take(b'[')?;
        if self.take(b']').is_none() {
            self.number()?;
            while self.take(b',').is_some() {
                self.number()?;
            }
            self.take(b']')?;
        }
        Some(&self.text[start..self.at])
    }

    fn usage(&mut self) -> Option<[i64; 3]> {
        self.take(b'[')?;
        let tokens_in = self.whole()?;
        self.take(b',')?;
        let tokens_out = self.whole()?;
        self.take(b',')?;
        let cached = self.whole()?;
        self.take(b']')?;
        Some([tokens_in, tokens_out, cached])
    }
}

/// Whether a byte ends a run of plain characters in a string.
fn ends_run(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..=0x1f)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = concat!(
        r#"{"v":1,"k":"ab","t":1.5,"r":[3,4.5],"why":null,"raw":"a\n\"\u00e9\ud800","n":1,"u":[100,20,0],"#,
        r#""m":"m","c":0.25,"ms":7,"fp":""}"#
    );

    #[test]
    fn a_line_as_it_is_written_is_taken() {
        let record = read_record(LINE.as_bytes()).expect("a record");
        assert_eq!((record.key, record.why, record.model), ("ab", None, "m"));
        assert_eq!((record.usage, record.cost), ([100, 20, 0], Some(0.25)));
        assert_eq!(numbers(record.ratings.expect("ratings")).collect::<Vec<_>>(), [3.0, 4.5]);
        assert!(record.chances.is_none() && !record.more && !record.half);
    }

    #[test]
    fn fields_come_in_any_order_and_some_may_be_absent() {
        let line = br#"{"half":1,"c":null,"m":"","p":[],"u":[0,0,0],"why":"no_json","r":null,"k":"x","more":1,"v":1}"#;
        let record = read_record(line).expect("a record");
        assert_eq!((record.ratings, record.why, record.cost), (None, Some("no_json"), None));
        assert_eq!(record.chances.map(|list| numbers(list).count()), Some(0));
        assert!(record.more && record.half);
    }

    #[test]
    fn a_line_cut_anywhere_is_not_taken() {
        assert!((0..LINE.len()).all(|cut| read_record(&LINE.as_bytes()[..cut]).is_none()));
        assert!(read_record(format!("{LINE} ").as_bytes()).is_none());
    }

    #[test]
    fn what_could_mean_something_else_is_left_to_full_json() {
        for (old, new) in [
            (r#""v":1"#, r#""v":2"#),
            (r#""v":1"#, r#""v":true"#),
            (r#""v":1,"#, ""),
            (r#""v":1"#, r#""v":1,"v":1"#),
            (r#""k":"ab""#, r#""k":"a\u0062""#),
            (r#""k":"ab""#, r#""k":"é""#),
            (r#""k":"ab""#, "\"k\":\"a\tb\""),
            (r#""k":"ab""#, r#""k":1"#),
            (r#""k":"ab""#, r#""k":"ab","k":"cd""#),
            ("[3,4.5]", "[3,-0]"),
            ("[3,4.5]", "[03,4]"),
            ("[3,4.5]", "[3,4.]"),
            ("[3,4.5]", "[3,1e]"),
            ("[3,4.5]", "[3,1e999]"),
            ("[3,4.5]", "[3,NaN]"),
            ("[3,4.5]", "[3,]"),
            ("[3,4.5]", "[3, 4]"),
            ("[3,4.5]", "[[3],4]"),
            ("[3,4.5]", "[\"3\",4]"),
            ("[3,4.5]", "[true,4]"),
            ("[3,4.5]", "[1111111111111111111111111111111111,4]"),
            ("[100,20,0]", "[100,20]"),
            ("[100,20,0]", "[100,20,0,0]"),
            ("[100,20,0]", "[100.0,20,0]"),
            ("[100,20,0]", "[1000000000000000000,20,0]"),
            ("0.25", "-0.25"),
            ("0.25", "Infinity"),
            (r#""fp":"""#, r#""fp":null"#),
            (r#""fp":"""#, r#""fp":"","hb":1"#),
            (r"\u00e9", r"\u00g9"),
            (r"\n", r"\x"),
            (r"\n", "\n"),
        ] {
            assert_eq!(LINE.matches(old).count(), 1, "{old}");
            let line = LINE.replace(old, new);
            assert!(read_record(line.as_bytes()).is_none(), "{line}");
        }
    }
}
