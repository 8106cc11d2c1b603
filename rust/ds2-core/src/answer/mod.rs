//! What a rating model answered: free text in, one number per criterion out, or the reason there is none.
//!
//! The rule is that no number is ever invented: values are taken as written, never clamped, rounded or guessed,
//! and everything doubtful is a [`Unreadable`] reason. Algorithm `answer-v1`:
//!
//! 1. Drop `<think>...</think>`; keep the last 16 KiB.
//! 2. Collect the balanced `{...}` in one pass, aware of strings (and, should that yield nothing, in a second
//!    pass that is not: a stray quote must not swallow the answer).
//! 3. From the last object to the first, read a lenient JSON (single quotes, trailing commas, Python literals,
//!    doubled braces). The last object that names all criteria decides, whatever its values are.
//! 4. Names compare by letters and digits, ignoring case and a final `rating` or `score`. A value is a number,
//!    `"4"`, `"4/5"` if the denominator is the top of the scale, or `{"score": 4}`.
//!
//! Time and memory are linear in the text, for any text.

mod json;
mod scan;

use crate::{Error, Result};
use json::{Place, Value};
use std::ops::Range;

/// What a readable answer names, and the closed range of its values.
#[derive(Debug, Clone)]
pub struct Rubric {
    stems: Vec<String>,
    low: f64,
    high: f64,
}

impl Rubric {
    /// A rubric of the criteria `names`, each rated from `low` to `high`.
    ///
    /// # Errors
    /// `Value` if there is no name, a name has no letter or digit, two names compare equal, or not `low < high`.
    pub fn new<S: AsRef<str>>(names: &[S], low: f64, high: f64) -> Result<Self> {
        let stems: Vec<String> = names.iter().map(|name| stem(name.as_ref())).collect();
        if stems.is_empty() {
            return Err(Error::value("names must hold at least one criterion"));
        }
        for (i, this) in stems.iter().enumerate() {
            if this.is_empty() {
                let name = names[i].as_ref();
                return Err(Error::value(format!("criterion {name:?} has neither a letter nor a digit")));
            }
            if let Some(j) = stems[..i].iter().position(|other| other == this) {
                let (a, b) = (names[j].as_ref(), names[i].as_ref());
                return Err(Error::value(format!("criteria {a:?} and {b:?} cannot be told apart")));
            }
        }
        if !(low.is_finite() && high.is_finite() && low < high) {
            return Err(Error::value(format!("the scale must run from low to high, got {low} to {high}")));
        }
        Ok(Self { stems, low, high })
    }
}

/// Why an answer gives no rating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// Nothing but white space and thinking.
    Empty,
    /// No `{...}` in it.
    NoJson,
    /// Only `{...}` that cannot be read.
    BadJson,
    /// No object names all criteria.
    MissingKey,
    /// A value is a truth value, null, NaN or text that is no number.
    NotANumber,
    /// A value lies outside the scale, or is a fraction of another scale.
    OutOfRange,
    /// A criterion is given twice with different values.
    Ambiguous,
}

impl Unreadable {
    /// The reason as a stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NoJson => "no_json",
            Self::BadJson => "bad_json",
            Self::MissingKey => "missing_key",
            Self::NotANumber => "not_a_number",
            Self::OutOfRange => "out_of_range",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// Read the ratings of `rubric` from `text`, in the order of its names (algorithm `answer-v1` of this module).
///
/// # Errors
/// The reason there is no rating; never a substitute value.
pub fn parse_answer(text: &str, rubric: &Rubric) -> std::result::Result<Vec<f64>, Unreadable> {
    let (clean, _) = scan::without_thinking(text);
    Ok(read(&clean, rubric)?.into_iter().map(|(value, _)| value).collect())
}

/// Where in `text` the last name of `rubric` has its number, as a range of bytes: what the probabilities of tokens
/// are read at. `None` if there is no rating, or the number is written with escapes or before some thinking.
#[must_use]
pub fn locate_overall(text: &str, rubric: &Rubric) -> Option<Range<usize>> {
    let (clean, whole_from) = scan::without_thinking(text);
    let (_, Place(place)) = read(&clean, rubric).ok()?.pop()?;
    let skipped = text.len() - clean.len();
    let found = place.start + skipped..place.end + skipped;
    (!place.is_empty() && found.start >= whole_from).then_some(found)
}

/// The ratings in `clean`, each with the place of its number there.
fn read(clean: &str, rubric: &Rubric) -> Decision {
    let ended = clean.trim_end();
    let answer = scan::tail(ended.trim_start(), scan::CAP);
    if answer.is_empty() {
        return Err(Unreadable::Empty);
    }
    let before = ended.len() - answer.len();
    let mut reason = Unreadable::NoJson;
    for quotes in [true, false] {
        for (start, end) in scan::objects(answer, quotes).into_iter().rev() {
            let Some(value) = json::read(&answer[start..end]) else {
                if reason == Unreadable::NoJson {
                    reason = Unreadable::BadJson;
                }
                continue;
            };
            match decide(&value, rubric) {
                Some(Ok(mut found)) => {
                    for (_, Place(place)) in found.iter_mut().filter(|(_, Place(place))| !place.is_empty()) {
                        *place = place.start + before + start..place.end + before + start;
                    }
                    return Ok(found);
                }
                Some(unreadable) => return unreadable,
                None => reason = Unreadable::MissingKey,
            }
        }
    }
    Err(reason)
}

type Rated = (f64, Place);
type Decision = std::result::Result<Vec<Rated>, Unreadable>;

/// What the objects inside `value` that name all criteria say; `None` if there is none.
fn decide(value: &Value, rubric: &Rubric) -> Option<Decision> {
    let mut decision: Option<Decision> = None;
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => match ratings(fields, rubric) {
                Some(found) if decision.as_ref().is_some_and(|known| *known != found) => {
                    return Some(Err(Unreadable::Ambiguous));
                }
                Some(found) => decision = Some(found),
                None => open.extend(fields.iter().map(|(_, value)| value)),
            },
            _ => {}
        }
    }
    decision
}

/// The values of one object; `None` if it does not name all criteria.
fn ratings(fields: &[(String, Value)], rubric: &Rubric) -> Option<Decision> {
    let mut found: Vec<Option<&Value>> = vec![None; rubric.stems.len()];
    let mut ambiguous = false;
    for (name, value) in fields {
        let name = stem(name);
        let Some(i) = rubric.stems.iter().position(|wanted| *wanted == name) else { continue };
        ambiguous |= found[i].is_some_and(|known| known != value);
        found[i] = Some(value);
    }
    let values: Option<Vec<&Value>> = found.into_iter().collect();
    let values = values?;
    if ambiguous {
        return Some(Err(Unreadable::Ambiguous));
    }
    Some(values.into_iter().map(|value| number(value, rubric, true)).collect())
}

/// One value as a number of the scale.
fn number(value: &Value, rubric: &Rubric, wrapped: bool) -> std::result::Result<Rated, Unreadable> {
    let (x, place) = match value {
        Value::Number(x, place) => (*x, place),
        Value::Text(text, place) => {
            let (x, denominator) = fraction(text).ok_or(Unreadable::NotANumber)?;
            if denominator.is_some_and(|d| !same(d, rubric.high)) {
                return Err(Unreadable::OutOfRange);
            }
            (x, place)
        }
        Value::Object(fields) if wrapped => {
            let mut inner =
                fields.iter().filter(|(name, _)| matches!(stem(name).as_str(), "score" | "rating" | "value"));
            return match (inner.next(), inner.next()) {
                (Some((_, value)), None) => number(value, rubric, false),
                (Some(_), Some(_)) => Err(Unreadable::Ambiguous),
                _ => Err(Unreadable::NotANumber),
            };
        }
        _ => return Err(Unreadable::NotANumber),
    };
    // Adding zero turns -0 into 0.
    if x >= rubric.low && x <= rubric.high {
        Ok((x + 0.0, place.clone()))
    } else {
        Err(Unreadable::OutOfRange)
    }
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() < f64::EPSILON
}

/// `"4"`, `"4.5"`, `"4/10"`, `"4 out of 10"`: the value and the denominator.
fn fraction(text: &str) -> Option<(f64, Option<f64>)> {
    let (value, rest) = json::leading_number(text.trim())?;
    let rest = rest.trim_start();
    if rest.is_empty() {
        return Some((value, None));
    }
    let rest = rest.strip_prefix('/').or_else(|| rest.strip_prefix("out of"))?;
    let (denominator, rest) = json::leading_number(rest.trim_start())?;
    rest.is_empty().then_some((value, Some(denominator)))
}

/// A name reduced to what must agree: letters and digits in lower case, without a final `rating` or `score`.
fn stem(name: &str) -> String {
    let letters: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    for suffix in ["rating", "score"] {
        if let Some(rest) = letters.strip_suffix(suffix).filter(|rest| !rest.is_empty()) {
            return rest.to_owned();
        }
    }
    letters
}
