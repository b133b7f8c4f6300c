//! Files at random: YAML with every kind of scalar and quotes and comments anywhere, JSON in any layout, bytes.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use proptest::{collection, prop_oneof, sample, string};

/// A document as text.
pub(crate) fn document(runner: &mut TestRunner) -> String {
    let node = node().new_tree(runner).unwrap().current();
    let comments: Vec<u8> = collection::vec(0u8..12, 64).new_tree(runner).unwrap().current();
    let indent = (2usize..5).new_tree(runner).unwrap().current();
    let mut printer = Printer { out: String::new(), indent, comments, used: 0 };
    let Node::Map(pairs) = node else { unreachable!("the top is a map") };
    printer.map(&pairs, 0);
    printer.out
}

#[derive(Debug, Clone)]
enum Node {
    Scalar(String),
    Flow(String),
    Map(Vec<(String, Node)>),
    List(Vec<Node>),
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![6 => scalar().prop_map(Node::Scalar), 1 => flow().prop_map(Node::Flow)];
    let inner = leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            2 => pairs(inner.clone()).prop_map(Node::Map),
            1 => collection::vec(inner, 1..4).prop_map(Node::List),
        ]
    });
    pairs(inner).prop_map(Node::Map)
}

fn pairs(value: impl Strategy<Value = Node>) -> impl Strategy<Value = Vec<(String, Node)>> {
    let keys = [
        "a",
        "b",
        "c",
        "d",
        "name",
        "db_user",
        "x_unencrypted",
        "key with blanks",
        "'quoted'",
        "e_plain",
        "é",
    ];
    (sample::subsequence(keys.to_vec(), 1..5), collection::vec(value, 5))
        .prop_map(|(keys, values)| keys.into_iter().map(str::to_owned).zip(values).collect())
}

fn scalar() -> impl Strategy<Value = String> {
    let special = [
        "null",
        "~",
        "true",
        "False",
        "yes",
        "no",
        "on",
        "0",
        "-1",
        "42",
        "1.5",
        "1.0",
        "1e3",
        "0755",
        "0x1f",
        "1_000",
        ".5",
        ".inf",
        "2001-01-01",
        "2001-12-14T21:59:43.1Z",
        "1:20",
        "\"\"",
        "''",
        "\"yes\"",
        "'12'",
        "=",
        "-a",
        "a:b",
        "a#b",
        "\"tab\\there\"",
        "\"new\\nline\\n\"",
        "\"uni\\u00e9\"",
        "'it''s'",
        "http://x.y/z?a=b&c=d",
        "ENC[not really]",
        "{{ x }}suffix",
    ];
    let special: Vec<String> =
        special.iter().filter(|s| !s.starts_with('{')).map(|s| (*s).to_owned()).collect();
    prop_oneof![
        3 => sample::select(special),
        3 => string::string_regex("[a-zA-Z][a-zA-Z0-9 ._/-]{0,20}[a-z0-9]").unwrap(),
        2 => string::string_regex("[ -~é€]{0,20}").unwrap().prop_map(|text| format!("'{}'", text.replace('\'', "''"))),
        1 => string::string_regex("[ -~]{0,20}").unwrap()
            .prop_map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))),
        1 => string::string_regex("[a-z][a-z :#]{0,8}[a-z](\n[a-z ]{0,9}[a-z]){1,3}").unwrap().prop_map(|text| format!("|{text}")),
        1 => (-1_000_000_000i64..1_000_000_000).prop_map(|number| number.to_string()),
        1 => (-1e6f64..1e6).prop_map(|number| format!("{number:.3}")),
    ]
}

fn flow() -> impl Strategy<Value = String> {
    let word = || string::string_regex("[a-z]{1,5}|\"[a-z ,]{0,5}\"|[0-9]{1,3}").unwrap();
    prop_oneof![
        collection::vec(word(), 0..4).prop_map(|words| format!("[{}]", words.join(", "))),
        collection::vec(word(), 0..3).prop_map(|words| {
            let pairs: Vec<String> =
                words.iter().enumerate().map(|(at, word)| format!("k{at}: {word}")).collect();
            format!("{{{}}}", pairs.join(", "))
        }),
    ]
}

struct Printer {
    out: String,
    indent: usize,
    comments: Vec<u8>,
    used: usize,
}

impl Printer {
    /// A number that says whether and which comment stands here.
    fn chance(&mut self) -> u8 {
        self.used += 1;
        self.comments[self.used % self.comments.len()]
    }

    fn line(&mut self, column: usize, text: &str) {
        self.out.push_str(&" ".repeat(column));
        self.out.push_str(text);
    }

    fn comment_above(&mut self, column: usize) {
        match self.chance() {
            0 => self.line(column, "# above\n"),
            1 => {
                self.line(column, "# two\n");
                self.line(column, "# lines\n");
            }
            2 => self.out.push('\n'),
            _ => {}
        }
    }

    fn end_of_line(&mut self) {
        if self.chance() == 0 {
            self.out.push_str(" # beside");
        }
        self.out.push('\n');
    }

    fn map(&mut self, pairs: &[(String, Node)], column: usize) {
        for (number, (key, value)) in pairs.iter().enumerate() {
            if number > 0 || column == 0 {
                self.comment_above(column);
            }
            if number > 0 || column == 0 || !self.out.ends_with("- ") {
                self.line(column, "");
            }
            self.out.push_str(key);
            self.out.push(':');
            self.value(value, column);
        }
    }

    fn value(&mut self, value: &Node, column: usize) {
        match value {
            Node::Scalar(text) if text.starts_with('|') => {
                self.out.push_str(" |");
                if self.chance() < 4 {
                    self.out.push('-');
                }
                self.out.push('\n');
                for line in text[1..].split('\n') {
                    self.line(column + self.indent, line);
                    self.out.push('\n');
                }
            }
            Node::Scalar(text) | Node::Flow(text) => {
                self.out.push(' ');
                self.out.push_str(text);
                self.end_of_line();
            }
            Node::Map(pairs) => {
                self.out.push('\n');
                self.map(pairs, column + self.indent);
            }
            Node::List(items) => {
                self.out.push('\n');
                self.list(items, column + self.indent);
            }
        }
    }

    fn list(&mut self, items: &[Node], column: usize) {
        for (number, item) in items.iter().enumerate() {
            if number > 0 {
                self.comment_above(column);
            }
            self.line(column, "-");
            match item {
                Node::Map(pairs) => {
                    self.out.push(' ');
                    self.map(pairs, column + 2);
                }
                Node::List(items) => {
                    self.out.push('\n');
                    self.list(items, column + 2);
                }
                leaf => self.value(leaf, column),
            }
        }
    }
}

// ---------------------------------------------------------------- JSON

/// A JSON object as text: every spelling of numbers and strings, keys that occur twice, blanks anywhere.
pub(crate) fn json(runner: &mut TestRunner) -> String {
    let leaf = json_scalar().prop_map(Json::Scalar);
    let node = leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            2 => collection::vec((json_key(), inner.clone()), 0..6).prop_map(Json::Map),
            1 => collection::vec(inner, 0..5).prop_map(Json::List),
        ]
    });
    let members = collection::vec((json_key(), node), 0..7).new_tree(runner).unwrap().current();
    let layout = JsonLayout {
        unit: sample::select(vec!["", " ", "  ", "    ", "\t"]).new_tree(runner).unwrap().current(),
        newline: sample::select(vec!["\n", "\n", "\r\n", ""]).new_tree(runner).unwrap().current(),
        colon: sample::select(vec![": ", ":", " : ", ":\t"]).new_tree(runner).unwrap().current(),
        blank: sample::select(vec!["", "", " ", " \n"]).new_tree(runner).unwrap().current(),
    };
    let mut out = String::new();
    layout.print(&mut out, &Json::Map(members), 0);
    out.push_str(sample::select(vec!["\n", "", "\r\n", "\n\n"]).new_tree(runner).unwrap().current());
    out
}

#[derive(Debug, Clone)]
enum Json {
    Scalar(String),
    Map(Vec<(String, Json)>),
    List(Vec<Json>),
}

fn json_key() -> impl Strategy<Value = String> {
    let keys = [
        "a",
        "b",
        "c",
        "d",
        "name",
        "e_plain",
        "x_unencrypted",
        "key with blanks",
        "",
        "é",
        "\\u00e9",
        "<&>",
        "a:b",
    ];
    sample::select(keys.to_vec()).prop_map(|key| format!("\"{key}\""))
}

fn json_scalar() -> impl Strategy<Value = String> {
    let special = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1.0",
        "1e3",
        "1E+3",
        "-1.50",
        "1e-7",
        "0.1e1",
        "1e21",
        "123456789012345678901",
        "9223372036854775808",
        "1e-400",
        "\"\"",
        "\"\\/\"",
        "\"\\u00e9\"",
        "\"\\u00E9é\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"<a&b>\"",
        "\"\\u003c\"",
        "\"\u{2028}\"",
        "\"\\u2028\"",
        "\"ENC[not really]\"",
        "\"true\"",
        "\"\\u0000\"",
        "\"\\b\\f\"",
    ];
    prop_oneof![
        3 => sample::select(special.to_vec()).prop_map(str::to_owned),
        3 => string::string_regex("[ !#-\\[\\]-~é€😀]{0,24}").unwrap().prop_map(|text| format!("\"{text}\"")),
        1 => (-1_000_000_000i64..1_000_000_000).prop_map(|number| number.to_string()),
        1 => proptest::num::i64::ANY.prop_map(|number| number.to_string()),
        1 => proptest::num::f64::NORMAL.prop_map(|number| format!("{number:e}")),
        1 => (-1e6f64..1e6).prop_map(|number| format!("{number:.3}")),
    ]
}

struct JsonLayout {
    unit: &'static str,
    newline: &'static str,
    colon: &'static str,
    blank: &'static str,
}

impl JsonLayout {
    fn print(&self, out: &mut String, value: &Json, level: usize) {
        let (open, close, len) = match value {
            Json::Scalar(text) => return out.push_str(text),
            Json::Map(members) => ('{', '}', members.len()),
            Json::List(items) => ('[', ']', items.len()),
        };
        out.push(open);
        for at in 0..len {
            if at > 0 {
                out.push_str(self.blank);
                out.push(',');
            }
            self.line(out, level + 1);
            match value {
                Json::Map(members) => {
                    out.push_str(&members[at].0);
                    out.push_str(self.colon);
                    self.print(out, &members[at].1, level + 1);
                }
                Json::List(items) => self.print(out, &items[at], level + 1),
                Json::Scalar(_) => unreachable!("it has no members"),
            }
        }
        if len > 0 {
            self.line(out, level);
        } else {
            out.push_str(self.blank);
        }
        out.push(close);
    }

    fn line(&self, out: &mut String, level: usize) {
        out.push_str(self.newline);
        if !self.newline.is_empty() {
            out.push_str(&self.unit.repeat(level));
        }
    }
}

// ---------------------------------------------------------------- bytes

/// Any bytes, few and many.
pub(crate) fn bytes(runner: &mut TestRunner) -> Vec<u8> {
    let few = collection::vec(proptest::num::u8::ANY, 0..200);
    let many = collection::vec(proptest::num::u8::ANY, 2_000..5_000);
    let text = string::string_regex("[ -~\\n\\té]{0,200}").unwrap().prop_map(String::into_bytes);
    prop_oneof![4 => few, 1 => many, 2 => text].new_tree(runner).unwrap().current()
}
