//! From bytes to a tree of places.

use crate::document::{
    Branch, Document, Entry, Item, Key, Layout, Leaf, LeafStyle, List, Map, MetadataKeys, Node, Pair,
};
use crate::secret::SecretText;
use crate::span::Span;
use crate::store::ParseError;

use super::text;

/// So many maps and lists can stand in each other.
const MAX_DEPTH: usize = 250;

/// Reads a file: one map, with nothing but blanks around it.
///
/// sops: what follows the map is dropped, and a text that ends too early is taken for what there is of it. Both lose
/// values, so both are errors here.
pub(super) fn parse(text: SecretText) -> Result<Document, ParseError> {
    let branch = Parser { text: text.expose(), at: 0, depth: 0 }.file()?;
    Ok(Document { text, branches: vec![branch], aliases_expanded: false, comment_texts: Vec::new() })
}

/// Whether `text` is one scalar and nothing else.
pub(super) fn is_scalar(text: &[u8]) -> bool {
    let mut parser = Parser { text, at: 0, depth: 0 };
    matches!(parser.node(false), Ok(Node::Leaf(leaf)) if leaf.span == Span::new(0, text.len()))
}

struct Parser<'t> {
    text: &'t [u8],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn file(mut self) -> Result<Branch, ParseError> {
        if self.text.starts_with(b"\xEF\xBB\xBF") {
            return Err(self.error(
                "the file starts with a byte order mark, which JSON does not allow: save it without",
            ));
        }
        self.skip_blanks();
        let root = match self.peek() {
            Some(b'{') => self.map()?,
            None => {
                let mut error = self.error("the file is empty; a JSON file holds one object: {}");
                error.empty = false;
                return Err(error);
            }
            Some(b'[') => {
                return Err(self.error(
                    "the file is a list; only a JSON object ({…}) can be encrypted: wrap the list in one, {\"data\": […]}",
                ));
            }
            Some(_) => {
                return Err(
                    self.error("the file is not a JSON object ({…}); only such files can be encrypted")
                );
            }
        };
        self.skip_blanks();
        if self.at < self.text.len() {
            return Err(self.error("something follows the JSON object; sops would drop it"));
        }
        Ok(Branch { root, end: self.text.len(), metadata_keys: MetadataKeys::Entry })
    }

    fn error(&self, problem: &str) -> ParseError {
        ParseError::at(self.text, self.at, problem)
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    /// The next byte that is not blank; the text must not end before it.
    fn next(&mut self, expected: &str) -> Result<u8, ParseError> {
        self.skip_blanks();
        self.peek().ok_or_else(|| self.error(&format!("the file ends where {expected} should stand")))
    }

    fn enter(&mut self) -> Result<(), ParseError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(&format!("maps and lists are nested more than {MAX_DEPTH} deep")));
        }
        self.at += 1;
        Ok(())
    }

    fn node(&mut self, in_list: bool) -> Result<Node, ParseError> {
        Ok(match self.next("a value")? {
            b'{' => Node::Map(self.map()?),
            b'[' => Node::List(self.list()?),
            b'"' => Node::Leaf(leaf(self.string()?, LeafStyle::Double, in_list)),
            b'-' | b'0'..=b'9' => Node::Leaf(leaf(self.number()?, LeafStyle::Plain, in_list)),
            b't' => Node::Leaf(leaf(self.word(b"true")?, LeafStyle::Plain, in_list)),
            b'f' => Node::Leaf(leaf(self.word(b"false")?, LeafStyle::Plain, in_list)),
            b'n' => Node::Leaf(leaf(self.word(b"null")?, LeafStyle::Plain, in_list)),
            _ => {
                return Err(self.error(
                    "a value must begin here: a text in double quotes, a number, true, false, null, { or [",
                ));
            }
        })
    }

    fn map(&mut self) -> Result<Map, ParseError> {
        let start = self.at;
        self.enter()?;
        let mut entries = Vec::new();
        if self.next("a key or }")? != b'}' {
            loop {
                if self.next("a key")? != b'"' {
                    return Err(self.error("a key in double quotes must begin here"));
                }
                let key = self.string()?;
                let name = text::decode_key(&self.text[key.start + 1..key.end - 1]);
                if self.next(":")? != b':' {
                    return Err(self.error("a colon must stand here, behind the key"));
                }
                self.at += 1;
                let value = self.node(false)?;
                let span = Span::new(key.start, value.span().end);
                entries.push(Entry::Pair(Pair { key: Key { name, span: key, is_text: true }, value, span }));
                match self.next(", or }")? {
                    b',' => self.at += 1,
                    b'}' => break,
                    _ => return Err(self.error("a comma or } must stand here")),
                }
            }
        }
        self.at += 1;
        self.depth -= 1;
        entries.shrink_to_fit(); // most maps are small, and entries are not
        Ok(Map { entries, span: Span::new(start, self.at), layout: Layout::Flow })
    }

    fn list(&mut self) -> Result<List, ParseError> {
        let start = self.at;
        self.enter()?;
        let mut items = Vec::new();
        if self.next("a value or ]")? != b']' {
            loop {
                let node = self.node(true)?;
                let span = node.span();
                items.push(Item::Value { node, span });
                match self.next(", or ]")? {
                    b',' => self.at += 1,
                    b']' => break,
                    _ => return Err(self.error("a comma or ] must stand here")),
                }
            }
        }
        self.at += 1;
        self.depth -= 1;
        items.shrink_to_fit();
        Ok(List { items, span: Span::new(start, self.at), layout: Layout::Flow })
    }

    fn string(&mut self) -> Result<Span, ParseError> {
        let start = self.at;
        self.at += 1;
        loop {
            self.at += plain_run(&self.text[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Span::new(start, self.at));
                }
                Some(b'\\') => {
                    let rest = &self.text[self.at + 1..];
                    let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
                    self.at +=
                        match rest {
                            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
                            [b'u', digits @ ..] if digits.len() >= 4 && is_hex(&digits[..4]) => 6,
                            _ => return Err(self.error(
                                "a backslash must be followed by one of \"\\/bfnrt, or by u and four digits",
                            )),
                        };
                }
                Some(_) => {
                    return Err(self.error(
                        "a line break or control character stands in a text; write it as \\n, \\t or \\u00XX",
                    ));
                }
                None => {
                    self.at = start;
                    return Err(self.error("the text that begins here has no closing quote"));
                }
            }
        }
    }

    fn number(&mut self) -> Result<Span, ParseError> {
        let start = self.at;
        let malformed = |parser: &Self| Err(parser.error("this is no JSON number"));
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return malformed(self),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                return malformed(self);
            }
            self.digits();
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                return malformed(self);
            }
            self.digits();
        }
        if self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'.') {
            return malformed(self);
        }
        let span = Span::new(start, self.at);
        if let Err(problem) = text::read_number(span.of(self.text)) {
            return Err(ParseError::at(self.text, start, problem));
        }
        Ok(span)
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<Span, ParseError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self
                .error("this word is none that JSON knows: true, false, null; a text needs double quotes"));
        }
        let start = self.at;
        self.at += word.len();
        Ok(Span::new(start, self.at))
    }
}

fn leaf(span: Span, style: LeafStyle, in_list: bool) -> Leaf {
    Leaf {
        span,
        style,
        in_flow: true,
        tag: None,
        parent_indent: -1,
        in_list,
        sealed_comment: false,
        ends_empty_list: false,
    }
}

/// How many bytes go by before a quote, a backslash or a control character.
fn plain_run(text: &[u8]) -> usize {
    let is_special = |byte: u8| byte == b'"' || byte == b'\\' || byte < 0x20;
    // Without an early end inside a chunk: the compiler then tests all its bytes at once.
    let chunks = text.as_chunks::<32>().0.iter();
    let plain = chunks.take_while(|chunk| !chunk.iter().fold(false, |found, &byte| found | is_special(byte)));
    let start = 32 * plain.count();
    let rest = &text[start..];
    start + rest.iter().position(|&byte| is_special(byte)).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        match parse(SecretText::copy_of(text.as_bytes())) {
            Ok(_) => panic!("{text} was read"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn places_are_those_of_the_text() {
        let text = " { \"a\" : [ 1 , \"x\\\"y\" ] }\n";
        let document = parse(SecretText::from(text)).unwrap();
        let root = &document.branches[0].root;
        assert_eq!(root.span.of(text.as_bytes()), text.trim().as_bytes());
        let pair = root.pair("a").unwrap();
        assert_eq!(pair.span.of(text.as_bytes()), b"\"a\" : [ 1 , \"x\\\"y\" ]");
        let Node::List(list) = &pair.value else { panic!("it is a list") };
        let items: Vec<_> =
            super::super::values(list).map(|(node, _)| node.span().of(text.as_bytes())).collect();
        assert_eq!(items, [&b"1"[..], b"\"x\\\"y\""]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_without_the_text() {
        for (text, place, problem) in [
            ("", "1:1", "the file is empty"),
            ("\u{feff}{}", "1:1", "byte order mark"),
            ("[1]", "1:1", "the file is a list"),
            ("secret", "1:1", "not a JSON object"),
            ("{\n  \"a\": secret\n}", "2:8", "a value must begin here"),
            ("{\"a\": tsecret}", "1:7", "none that JSON knows"),
            ("{\"a\" 1}", "1:6", "a colon"),
            ("{\"a\": 1 \"b\"", "1:9", "a comma or }"),
            ("{\"a\": [1 2]}", "1:10", "a comma or ]"),
            ("{\"a\": 1,}", "1:9", "a key in double quotes"),
            ("{\"a\": [1,]}", "1:10", "a value must begin"),
            ("{\"a\": 1", "1:8", "the file ends where , or }"),
            ("{\"a\": 1, \"b\":", "1:14", "the file ends where a value"),
            ("{\"a\": [1", "1:9", "the file ends where , or ]"),
            ("{", "1:2", "the file ends where a key or }"),
            ("{\"a\": \"secret", "1:7", "no closing quote"),
            ("{\"a\": \"sec\nret\"}", "1:11", "a line break or control character"),
            ("{\"a\": \"\\x\"}", "1:8", "a backslash"),
            ("{\"a\": \"\\u12g4\"}", "1:8", "a backslash"),
            ("{\"a\": 01}", "1:8", "no JSON number"),
            ("{\"a\": 1.}", "1:9", "no JSON number"),
            ("{\"a\": -}", "1:8", "no JSON number"),
            ("{\"a\": 1e}", "1:9", "no JSON number"),
            ("{\"a\": 1e400}", "1:7", "out of range"),
            ("{} secret", "1:4", "something follows"),
            ("{\"a\": 1}{", "1:9", "something follows"),
        ] {
            let message = error(text);
            assert!(message.starts_with(&format!("{place}: ")), "{text:?}: {message}");
            assert!(message.contains(problem) && !message.contains("secret"), "{text:?}: {message}");
        }
    }

    #[test]
    fn a_scalar_is_one_token_without_anything_around_it() {
        for text in ["1.0", "\"a\\u0022\"", "null", "\"\"", "-0"] {
            assert!(is_scalar(text.as_bytes()), "{text}");
        }
        for text in ["", " 1", "1 ", "\"a\", \"b\"", "\"a", "[1]", "{}", "1,2", "nullx"] {
            assert!(!is_scalar(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow() {
        let nested = |depth: usize| format!("{{\"a\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(MAX_DEPTH - 1).into()).is_ok());
        assert!(error(&nested(MAX_DEPTH)).contains("nested more than"));
        assert!(error(&nested(1_000_000)).contains("nested more than"));
    }

    #[test]
    fn runs_of_plain_characters_end_at_the_first_special_one() {
        for len in 0..100 {
            for special in ["\"", "\\", "\n", "\u{1f}"] {
                let text = format!("{}{special}{}", "é".repeat(len), "x".repeat(40));
                assert_eq!(plain_run(text.as_bytes()), 2 * len);
            }
            assert_eq!(plain_run("x".repeat(len).as_bytes()), len);
        }
    }
}
