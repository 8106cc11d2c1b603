//! The reading of answers, from outside: a corpus of shapes, properties, and texts made to hurt.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use ds2_core::answer::{Rubric, Unreadable, locate_overall, parse_answer};
use proptest::prelude::*;

const NAMES: [&str; 4] = ["Rarity", "Complexity", "Informativeness", "Overall rating"];

fn ten() -> Rubric {
    Rubric::new(&NAMES, 1.0, 10.0).unwrap()
}

fn read(text: &str) -> Result<Vec<f64>, Unreadable> {
    parse_answer(text, &ten())
}

const GOOD: &str = r#"{"Rarity": 3, "Complexity": 4, "Informativeness": 5, "Overall rating": 4}"#;

#[test]
fn reads_what_models_write() {
    let other = GOOD.replace('4', "9");
    let cases = [
        GOOD.to_owned(),
        format!("```json\n{GOOD}\n```"),
        format!("Sure! It's {{rare}}, I'd say: {GOOD} Hope it helps."),
        format!("<think>maybe {{\"Rarity\": 9}} or {other}</think>{GOOD}"),
        format!("thinking without a start {other}</think>\n{GOOD}"),
        format!("{{unclosed {GOOD}"),
        format!("{{\"unclosed string {GOOD}"),
        format!("draft {other} final {GOOD}"),
        format!("{{{GOOD}}}"),
        format!("{GOOD} and so {{\"note\": \"done\"}}"),
        "{'Rarity': 3, 'Complexity': 4, 'Informativeness': 5, 'Overall rating': 4,}".to_owned(),
        r#"{"Rarity": 3.0, "Complexity": "4", "Informativeness": "5/10", "Overall rating": "4 out of 10"}"#
            .to_owned(),
        r#"{"ratings": {"rarity": 3, "complexity": 4, "informativeness": 5, "overall_rating": 4}}"#.to_owned(),
        r#"{"RARITY SCORE": 3, "Complexity_rating": 4, "informativeness": 5, "Overall": 4, "why": "a } b"}"#
            .to_owned(),
        r#"{"Rarity": {"score": 3, "reason": "x"}, "Complexity": {"rating": 4}, "Informativeness": {"value": 5},
            "Overall score": 4}"#
            .to_owned(),
        r#"{"Rarity": 3, "Rarity": 3, "Complexity": 4, "Informativeness": 5, "Overall\u0020rating": 4}"#
            .to_owned(),
    ];
    for case in cases {
        assert_eq!(read(&case), Ok(vec![3.0, 4.0, 5.0, 4.0]), "{case}");
    }
    assert_eq!(read(&GOOD.replace(": 4", ": 4.5")), Ok(vec![3.0, 4.5, 5.0, 4.5]), "fractions stay as given");
}

#[test]
fn finds_the_number_of_the_overall_rating_and_no_other() {
    let at = |text: &str| locate_overall(text, &ten()).map(|place| (place.clone(), text[place].to_owned()));
    for frame in ["@", " \n@ ", "<think>{} 4</think>@", "4 ünï @ \"Overall rating\": 4", "no start</think>@"]
    {
        let text = frame.replace('@', GOOD);
        let place = text.find(GOOD).unwrap() + GOOD.len() - 2;
        assert_eq!(at(&text), Some((place..place + 1, "4".to_owned())), "{text}");
    }
    let long = format!("{}{GOOD}", "x".repeat(40_000));
    assert_eq!(at(&long).unwrap().0.start, long.len() - 2);
    let quoted = GOOD.replace(": 4}", ": \" 10/10\"}");
    assert_eq!(at(&quoted).unwrap().1, "10");
    let wrapped = GOOD.replace(": 4}", ": {\"why\": \"4\", \"score\": 7}}");
    assert_eq!(at(&wrapped).unwrap().1, "7");
    assert_eq!(at(&GOOD.replace(": 4}", ": \"\\u0034\"}")), None, "escaped");
    assert_eq!(at(&format!("{GOOD}<think>well</think>")), None, "thinking after it");
    assert_eq!(at("nothing"), None);
}

#[test]
fn gives_a_reason_instead_of_a_number() {
    use Unreadable::{Ambiguous, BadJson, Empty, MissingKey, NoJson, NotANumber, OutOfRange};
    let overall = |value: &str| GOOD.replace(": 4}", &format!(": {value}}}"));
    let cases = [
        (String::new(), Empty),
        (" \n\t ".to_owned(), Empty),
        (format!("<think>{GOOD}"), Empty),
        ("I'm sorry, I can't help with that. 4/10".to_owned(), NoJson),
        ("Rarity: 3, Complexity: 4, Informativeness: 5, Overall rating: 4".to_owned(), NoJson),
        (GOOD[..60].to_owned(), NoJson),
        ("{Rarity: 3}".to_owned(), BadJson),
        (overall("04"), BadJson),
        (overall("4/5"), BadJson),
        (overall("-Infinity"), BadJson),
        (r#"{"Rarity": 3, "Complexity": 4, "Informativeness": 5}"#.to_owned(), MissingKey),
        ("{}".to_owned(), MissingKey),
        (overall("42"), OutOfRange),
        (overall("0"), OutOfRange),
        (overall("-4"), OutOfRange),
        (overall("10.5"), OutOfRange),
        (overall("1e999"), OutOfRange),
        (overall("\"4/5\""), OutOfRange),
        (overall("true"), NotANumber),
        (overall("None"), NotANumber),
        (overall("NaN"), NotANumber),
        (overall("\"four\""), NotANumber),
        (overall("\"4 stars\""), NotANumber),
        (overall("\"\u{0664}\""), NotANumber),
        (overall("[4]"), NotANumber),
        (overall("{\"score\": true}"), NotANumber),
        (overall("{\"score\": {\"score\": 4}}"), NotANumber),
        (overall("{\"score\": 4, \"rating\": 5}"), Ambiguous),
        (overall("4, \"overall\": 5"), Ambiguous),
        (format!("{{\"a\": {GOOD}, \"b\": {}}}", overall("7")), Ambiguous),
        // The last object that names everything decides: an earlier good one is no way out.
        (format!("{GOOD} or rather {}", overall("11")), OutOfRange),
    ];
    for (case, reason) in cases {
        assert_eq!(read(&case), Err(reason), "{case}");
    }
}

#[test]
fn a_rubric_that_cannot_be_read_is_refused() {
    for (names, low, high, says) in [
        (vec![], 0.0, 5.0, "at least one"),
        (vec!["?"], 0.0, 5.0, "neither a letter"),
        (vec!["Overall", "overall rating"], 0.0, 5.0, "told apart"),
        (vec!["a"], 5.0, 5.0, "low to high"),
        (vec!["a"], 0.0, f64::NAN, "low to high"),
    ] {
        let error = Rubric::new(&names, low, high).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn hostile_texts_take_linear_time() {
    let hostile = [
        "{",
        "}",
        "{}",
        "{\"",
        "{'",
        "{\"a\":",
        "[{",
        "\\",
        "\"",
        "<think>",
        "</think>",
        "{\"Rarity\":1,",
        "{{}",
        "é{",
    ];
    for piece in hostile {
        let text = piece.repeat(4_000_000 / piece.len());
        let start = Instant::now();
        assert!(read(&text).is_err(), "{piece}");
        assert!(start.elapsed() < Duration::from_secs(1), "{piece} took {:?}", start.elapsed());
        assert_eq!(read(&format!("{text}</think>{GOOD}")), Ok(vec![3.0, 4.0, 5.0, 4.0]), "{piece}");
    }
}

fn render(values: &[f64], quote: char, comma: &str) -> String {
    let mut out = String::from("{");
    for (i, (name, value)) in NAMES.iter().zip(values).enumerate() {
        let comma = if i + 1 < NAMES.len() { "," } else { comma };
        write!(out, "{quote}{name}{quote}: {value}{comma} ").unwrap();
    }
    out + "}"
}

proptest! {
    #[test]
    fn any_text_gives_a_reason_or_ratings_in_range(text in any::<String>()) {
        if let Ok(ratings) = read(&text) {
            prop_assert!(ratings.iter().all(|x| (1.0..=10.0).contains(x)));
        }
    }

    #[test]
    fn any_soup_of_json_gives_a_reason_or_ratings_in_range(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "'", "\\", "\\u12", "3", "-", "1e9", "true", "None", " ", "\n",
            "\"Rarity\"", "'Complexity'", "\"Informativeness\"", "\"Overall rating\"", "\"score\"", GOOD,
            "<think>", "</think>",
        ]), 0..60)
    ) {
        if let Ok(ratings) = read(&pieces.concat()) {
            prop_assert_eq!(ratings.len(), 4);
            prop_assert!(ratings.iter().all(|x| (1.0..=10.0).contains(x)));
        }
    }

    #[test]
    fn what_is_rendered_is_read_back(
        values in prop::collection::vec(1.0_f64..=10.0, 4),
        quote in prop::sample::select(vec!['"', '\'']),
        comma in prop::sample::select(vec!["", ","]),
        before in "[a-zA-Z .,:'\"\n]{0,80}",
        after in "[a-zA-Z .,:'\"\n]{0,80}",
    ) {
        let text = format!("{before}{}{after}", render(&values, quote, comma));
        prop_assert_eq!(read(&text), Ok(values));
    }

    #[test]
    fn a_cut_answer_is_never_read(cut in 0..GOOD.len()) {
        prop_assert!(read(&GOOD[..cut]).is_err());
    }
}
