//! dotenv and INI files at random: every kind of quotes, delimiter, line end and comment.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use proptest::{bool, collection, option, prop_oneof, sample, string};

/// A dotenv file.
pub(crate) fn dotenv(runner: &mut TestRunner) -> String {
    let text = || string::string_regex("([ -~é€🎉\t]|\\\\n){0,24}").unwrap();
    let key = string::string_regex("[A-Za-z_\"' .é][A-Za-z0-9_ .:-]{0,10}|export [A-Z]{1,4}|").unwrap();
    let key = key.prop_filter("it is no metadata", |key| !key.starts_with("sops_"));
    let line = prop_oneof![
        1 => sample::select(vec![String::new(), "#".to_owned()]),
        2 => text().prop_map(|text| format!("#{text}")),
        8 => (key, text(), bool::weighted(0.1)).prop_map(|(key, value, cr)| {
            format!("{key}={value}{}", if cr { "\r" } else { "" })
        }),
    ];
    let file = (collection::vec(line, 0..12), bool::weighted(0.9));
    let (lines, ends_line) = file.new_tree(runner).unwrap().current();
    lines.join("\n") + if ends_line && !lines.is_empty() { "\n" } else { "" }
}

/// An INI file.
pub(crate) fn ini(runner: &mut TestRunner) -> String {
    let file =
        (keys(), collection::vec(section(), 0..5), bool::weighted(0.9), bool::weighted(0.15), comments());
    let (first, sections, ends_line, crlf, last) = file.new_tree(runner).unwrap().current();
    let mut text = first + &sections.concat() + &last;
    if !ends_line {
        text.truncate(text.trim_end_matches('\n').len());
    }
    if crlf { text.replace('\n', "\r\n") } else { text }
}

fn section() -> impl Strategy<Value = String> {
    let name =
        sample::select(vec!["s", "t.u", "a b", "b", "DEFAULT", "x_plain", "ü", "\"q\"", "b_unencrypted"]);
    (comments(), name, beside(), keys(), bool::ANY).prop_map(|(comments, name, beside, keys, blank)| {
        format!("{comments}[{name}]{beside}\n{keys}{}", if blank { "\n" } else { "" })
    })
}

fn keys() -> impl Strategy<Value = String> {
    let names = [
        "a",
        "b",
        "c",
        "name",
        "two words",
        "k.1",
        "d_plain",
        "x_unencrypted",
        "ü",
        "`q=r`",
        "\"q s\"",
        "\"\"\"tri`ple\"\"\"",
    ];
    let delimiters = ["=", " = ", ": ", " :", "  =\t", "= "];
    let key =
        (comments(), sample::select(delimiters.to_vec()), value(), sample::select(vec!["", "", "  ", "\t"]));
    (sample::subsequence(names.to_vec(), 0..6), collection::vec(key, 6)).prop_map(|(names, keys)| {
        let keys = names.into_iter().zip(keys);
        keys.map(|(name, (comments, delimiter, value, indent))| {
            format!("{comments}{indent}{name}{delimiter}{value}\n")
        })
        .collect()
    })
}

/// A value with what stands behind it.
fn value() -> impl Strategy<Value = String> {
    let text = |pattern: &str| string::string_regex(pattern).unwrap();
    prop_oneof![
        1 => beside(),
        4 => (text("[A-Za-z0-9é/$-][A-Za-z0-9 '\"_./:=,!%&*()\\[\\]{}<>@^~|+?é€`\\\\-]{0,20}[A-Za-z0-9é.]"), beside())
            .prop_map(|(value, beside)| value + &beside),
        1 => (text("\"[A-Za-z0-9 '=:,é€-]{0,12}\"|'[A-Za-z0-9 \"=:,é€-]{0,12}'"), beside())
            .prop_map(|(value, beside)| value + &beside),
        1 => (text("[A-Za-z '\"]{0,3}[A-Za-z][ '\"]{0,3}"), beside()).prop_map(|(value, beside)| value + &beside),
        1 => (text("`[A-Za-z0-9 '\"=:;#\\\\-]{0,12}`"), beside()).prop_map(|(value, beside)| value + &beside),
        1 => text("\"\"\"[A-Za-z0-9 '=:;#`\\\\-]{0,12}\"\"\""),
        1 => (text("\"\"\"[A-Za-z0-9 =:;#\\[\\]`'-]{0,9}(\n[A-Za-z0-9 =:;#\\[\\]`'-]{0,9}){1,3}\"\"\""), beside())
            .prop_map(|(value, beside)| value + &beside),
        1 => (text("`[A-Za-z0-9 =:;#\"-]{0,9}(\n[A-Za-z0-9 =:;#\"-]{0,9}){1,3}`"), beside())
            .prop_map(|(value, beside)| value + &beside),
    ]
}

/// A comment behind something, or nothing.
fn beside() -> impl Strategy<Value = String> {
    option::weighted(0.25, comment())
        .prop_map(|comment| comment.map_or(String::new(), |text| format!(" {text}")))
}

/// Lines of comment, or none.
fn comments() -> impl Strategy<Value = String> {
    let line = (sample::select(vec!["", "  ", "\n"]), comment());
    let line = line.prop_map(|(before, comment)| format!("{before}{comment}\n"));
    option::weighted(0.3, collection::vec(line, 1..4)).prop_map(|lines| lines.unwrap_or_default().concat())
}

fn comment() -> impl Strategy<Value = String> {
    let marker = sample::select(vec!["; ", "# ", ";", "#", ";; ", "##", ";   "]);
    let text = string::string_regex("[A-Za-z=\"'`é][A-Za-z0-9 =:;#\"'`é-]{0,16}").unwrap();
    (marker, text).prop_map(|(marker, text)| format!("{marker}{text}"))
}
