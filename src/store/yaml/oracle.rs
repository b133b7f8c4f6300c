//! Nodes compared with libyaml's own events, over the corpus and seeded mutations of it.

#![expect(unsafe_code, reason = "libyaml's interface is a C interface")]

use std::ffi::CStr;
use std::fmt::Write;
use std::mem::MaybeUninit;

use libyaml_rs as sys;

use super::parse::{Content, Parsed, ParsedLayout, Parser};
use super::spell;
use super::tree::leaf_of;
use crate::document::LeafStyle;
use crate::span::Span;

/// The events of a text, one a line; `None` when it is refused.
type Events = Option<String>;

// ---------------------------------------------------------------- libyaml

fn of_libyaml(text: &[u8]) -> Events {
    let mut parser = MaybeUninit::<sys::yaml_parser_t>::uninit();
    let mut events = String::new();
    // SAFETY: the parser is initialised before and deleted after use, and `text` outlives it; every event is
    // read before it is deleted.
    unsafe {
        let parser = parser.as_mut_ptr();
        assert!(sys::yaml_parser_initialize(parser).ok);
        sys::yaml_parser_set_encoding(parser, sys::YAML_UTF8_ENCODING);
        sys::yaml_parser_set_input_string(parser, text.as_ptr(), text.len() as u64);
        let accepted = loop {
            let mut event = MaybeUninit::<sys::yaml_event_t>::uninit();
            let event = event.as_mut_ptr();
            if sys::yaml_parser_parse(parser, event).fail {
                break false;
            }
            write_libyaml_event(&mut events, &*event);
            let ended = (*event).type_ == sys::YAML_STREAM_END_EVENT;
            sys::yaml_event_delete(event);
            if ended {
                break true;
            }
        };
        sys::yaml_parser_delete(parser);
        accepted.then_some(events)
    }
}

/// SAFETY: `event` must be one that the parser has just filled in.
unsafe fn write_libyaml_event(events: &mut String, event: &sys::yaml_event_t) {
    // SAFETY: the type tells which field of the union is in use; its strings end in a zero byte.
    unsafe {
        let text = |bytes: *const u8| {
            (!bytes.is_null()).then(|| CStr::from_ptr(bytes.cast()).to_string_lossy().into_owned())
        };
        match event.type_ {
            sys::YAML_DOCUMENT_START_EVENT => events.push_str("document\n"),
            sys::YAML_MAPPING_START_EVENT => {
                let data = event.data.mapping_start;
                let flow = data.style == sys::YAML_FLOW_MAPPING_STYLE;
                write_event(
                    events,
                    if flow { "map {" } else { "map" },
                    text(data.anchor),
                    text(data.tag),
                    "",
                );
            }
            sys::YAML_SEQUENCE_START_EVENT => {
                let data = event.data.sequence_start;
                let flow = data.style == sys::YAML_FLOW_SEQUENCE_STYLE;
                write_event(
                    events,
                    if flow { "list [" } else { "list" },
                    text(data.anchor),
                    text(data.tag),
                    "",
                );
            }
            sys::YAML_MAPPING_END_EVENT | sys::YAML_SEQUENCE_END_EVENT => events.push_str("end\n"),
            sys::YAML_ALIAS_EVENT => write_event(events, "alias", text(event.data.alias.anchor), None, ""),
            sys::YAML_SCALAR_EVENT => {
                let data = event.data.scalar;
                let style = match data.style {
                    sys::YAML_SINGLE_QUOTED_SCALAR_STYLE => "'",
                    sys::YAML_DOUBLE_QUOTED_SCALAR_STYLE => "\"",
                    sys::YAML_LITERAL_SCALAR_STYLE => "|",
                    sys::YAML_FOLDED_SCALAR_STYLE => ">",
                    _ => "plain",
                };
                let value = std::slice::from_raw_parts(data.value, data.length as usize);
                write_event(
                    events,
                    style,
                    text(data.anchor),
                    text(data.tag),
                    &String::from_utf8_lossy(value),
                );
            }
            _ => {}
        }
    }
}

fn write_event(events: &mut String, kind: &str, anchor: Option<String>, tag: Option<String>, value: &str) {
    let tag = tag.filter(|tag| tag != "!").map(|tag| match tag.strip_prefix("tag:yaml.org,2002:") {
        Some(name) => format!("!!{name}"),
        None => tag,
    });
    let anchor = anchor.unwrap_or_default();
    writeln!(events, "{kind} &{anchor} {} {value:?}", tag.unwrap_or_default()).expect("a String takes all");
}

// ---------------------------------------------------------------- this parser

fn of_ours(text: &[u8]) -> Events {
    let (documents, _) = Parser::new(text).ok()?.parse().ok()?;
    let mut events = String::new();
    for document in &documents {
        events.push_str("document\n");
        write_node(&mut events, text, &document.root)?;
    }
    Some(events)
}

fn write_node(events: &mut String, text: &[u8], node: &Parsed) -> Option<()> {
    let string = |span: Span| String::from_utf8_lossy(span.of(text)).into_owned();
    let anchor = node.extras().anchor.map(string);
    let tag = node.extras().tag.as_deref().map(str::to_owned);
    match &node.content {
        Content::Alias => {
            let name = Span::new(node.span.start + 1, node.span.end);
            write_event(events, "alias", Some(string(name)), None, "");
        }
        Content::Scalar { style, .. } => {
            let kind = match style {
                LeafStyle::Plain => "plain",
                LeafStyle::Single => "'",
                LeafStyle::Double => "\"",
                LeafStyle::Block(shape) if shape.folded => ">",
                LeafStyle::Block(_) => "|",
            };
            let value = spell::decode(text, &leaf_of(node, *style, false, -1, false)).ok()?;
            write_event(events, kind, anchor, tag, &String::from_utf8_lossy(value.expose()));
        }
        Content::List { items, layout } => {
            let kind = if *layout == ParsedLayout::Flow { "list [" } else { "list" };
            write_event(events, kind, anchor, tag, "");
            items.iter().try_for_each(|item| write_node(events, text, &item.node))?;
            events.push_str("end\n");
        }
        Content::Map { pairs, layout } => {
            let kind = if *layout == ParsedLayout::Flow { "map {" } else { "map" };
            write_event(events, kind, anchor, tag, "");
            for pair in pairs {
                write_node(events, text, &pair.key)?;
                write_node(events, text, &pair.value)?;
            }
            events.push_str("end\n");
        }
    }
    Some(())
}

// ---------------------------------------------------------------- texts

fn corpus() -> Vec<(String, Vec<u8>)> {
    let mut texts = Vec::new();
    for folder in ["yaml", "yaml-refused"] {
        let folder = format!("{}/testdata/corpus/{folder}", env!("CARGO_MANIFEST_DIR"));
        for entry in std::fs::read_dir(&folder).expect("the corpus is there") {
            let path = entry.expect("a folder's entry").path();
            texts.push((path.display().to_string(), std::fs::read(&path).expect("a corpus file")));
        }
    }
    texts.sort();
    texts
}

/// A small generator, so that a failing seed stays a failing seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

const PIECES: [&str; 40] = [
    "#", " #", "\n# x\n", ": ", ":", "-", "- ", "\n- ", " ", "  ", "    ", "\n", "\n\n", "\t", "'", "\"",
    "\\", ",", "[", "]", "{", "}", "?", "? ", "!", "!a ", "!!str ", "&", "&a ", "*a ", "|", ">", "%", "@",
    "\r", "---\n", "...\n", "é", "\u{2028}", "0",
];

fn mutated(text: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..1 + dice.below(3) {
        let at = dice.below(text.len() + 1);
        match dice.below(4) {
            0 => drop(text.drain(at..(at + 1 + dice.below(2)).min(text.len()))),
            1 | 2 => drop(text.splice(at..at, PIECES[dice.below(PIECES.len())].bytes())),
            _ if at < text.len() => {
                let other = dice.below(text.len());
                text.swap(at, other);
            }
            _ => {}
        }
    }
    text
}

/// What libyaml takes and go-yaml, hence this parser, does not.
fn only_libyaml_takes(text: &[u8]) -> bool {
    let has = |piece: &[u8]| text.windows(piece.len()).any(|window| window == piece);
    (has(b"%YAML") && has(b"1.2")) || has(b"\\/")
}

/// What go-yaml takes, hence this parser, and libyaml does not: a colon right before the end of a flow entry,
/// `\\'`, and tabs before a comment that stands below another one.
fn only_go_yaml_takes(text: &[u8]) -> bool {
    let follows =
        |first: u8, second: &[u8]| text.windows(2).any(|pair| pair[0] == first && second.contains(&pair[1]));
    let escaped_quote = text.windows(2).any(|pair| pair == b"\\'");
    let mut comments =
        text.split(|&byte| byte == b'\n').filter(|line| line.trim_ascii_start().starts_with(b"#"));
    escaped_quote || follows(b':', b",?[]{}") || comments.any(|line| line.contains(&b'\t'))
}

/// Newer versions of libyaml read a `?` in braces and brackets as a part of a word, and end tags at brackets and
/// commas.
fn may_differ(text: &[u8]) -> bool {
    let mut words = text.split(|byte| byte.is_ascii_whitespace());
    let flow = |byte: &u8| b",[]{}".contains(byte);
    text.contains(&b'?') && text.iter().any(flow)
        || words.any(|word| (word.contains(&b'!') || word.starts_with(b"tag:")) && word.iter().any(flow))
}

/// Compares the events of a text; tells whether it was read.
fn compare(name: &str, text: &[u8]) -> bool {
    // libyaml was told the encoding, so it does not skip the mark that tells it.
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    if text.windows(3).any(|window| window == b"\xEF\xBB\xBF") {
        return false; // go-yaml takes a mark inside the text for a part of a word, libyaml skips it
    }
    let (theirs, ours) = (of_libyaml(text), of_ours(text));
    let known = match (&theirs, &ours) {
        (Some(_), None) => only_libyaml_takes(text),
        (None, Some(_)) => only_go_yaml_takes(text),
        _ => false,
    };
    if !known && !may_differ(text) {
        assert!(
            ours == theirs,
            "{name}: {:?}\nours: {ours:?}\nlibyaml: {theirs:?}",
            String::from_utf8_lossy(text)
        );
    }
    ours.is_some()
}

#[test]
fn the_corpus_gives_the_events_of_libyaml() {
    // libyaml has no limit of depth.
    let texts = corpus().into_iter().filter(|(name, _)| !name.ends_with("nesting-beyond-ten-thousand.yaml"));
    let accepted = texts.filter(|(name, text)| compare(name, text)).count();
    assert!(accepted > 130, "only {accepted} files of the corpus were read");
}

#[test]
fn mutations_of_the_corpus_give_the_events_of_libyaml() {
    let rounds = std::env::var("ORACLE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(8_000);
    let texts: Vec<_> = corpus().into_iter().filter(|(_, text)| text.len() < 10_000).collect();
    let mut dice = Dice(0x5EED);
    let mut accepted = 0;
    for round in 0..rounds {
        let (name, text) = &texts[dice.below(texts.len())];
        let text = mutated(text, &mut dice);
        accepted += usize::from(compare(&format!("round {round}, {name}"), &text));
    }
    assert!(accepted > rounds / 4, "only {accepted} of {rounds} mutations were read");
}

#[test]
fn a_scalar_can_be_replaced_in_its_span() {
    let mut replaced = 0;
    for (name, text) in corpus() {
        let Ok((documents, _)) = Parser::new(&text).and_then(Parser::parse) else { continue };
        let mut scalars = Vec::new();
        documents.iter().for_each(|document| gather_scalars(&document.root, &mut scalars));
        let shape = shape_of(&text).expect("it was read a moment ago");
        for span in scalars.into_iter().filter(|span| !span.is_empty()) {
            let mut changed = text[..span.start].to_vec();
            changed.extend_from_slice(b"\"X\"");
            if span.of(&text).ends_with(b"\n") {
                changed.push(b'\n');
            }
            changed.extend_from_slice(&text[span.end..]);
            let message = || format!("{name} at {}: {:?}", span.start, String::from_utf8_lossy(&changed));
            assert_eq!(shape_of(&changed).as_ref(), Some(&shape), "{}", message());
            replaced += 1;
        }
    }
    assert!(replaced > 1_000, "only {replaced} scalars");
}

fn gather_scalars(node: &Parsed, scalars: &mut Vec<Span>) {
    match &node.content {
        Content::Scalar { .. } => scalars.push(node.span),
        Content::Alias => {}
        Content::List { items, .. } => items.iter().for_each(|item| gather_scalars(&item.node, scalars)),
        Content::Map { pairs, .. } => pairs.iter().for_each(|pair| {
            gather_scalars(&pair.key, scalars);
            gather_scalars(&pair.value, scalars);
        }),
    }
}

/// The events without what stands in scalars.
fn shape_of(text: &[u8]) -> Option<Vec<String>> {
    let collections = ["document", "map", "list", "end", "alias"];
    let shape = |line: &str| match collections.iter().any(|kind| line.starts_with(kind)) {
        true => line.to_owned(),
        false => line.split(' ').skip(1).take(2).collect(),
    };
    Some(of_ours(text)?.lines().map(shape).collect())
}
