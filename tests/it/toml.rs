//! TOML: every file comes back as it was, changes stay small, and other formats can be made of it.

use orlop::document::{Spot, WalkError, walk};
use orlop::store::Format;
use orlop::{
    DataKey, FileError, Kind, OpenFile, PlainFile, Plaintext, SecretBytes, SecretText, Selection,
    SelectionRule, Tree, TreePath,
};
use proptest::prelude::*;

use crate::cli::Desk;
use crate::support::{STYLE, corpus_of, keyring, open_in, seal_in, values_in};

fn seal(plain: &[u8], rule: SelectionRule) -> Vec<u8> {
    let sealed = seal_in(Format::Toml, plain, rule, false);
    sealed.unwrap_or_else(|error| panic!("{error}\n{}", lossy(plain))).expose().to_vec()
}

fn all(plain: &[u8]) -> Vec<u8> {
    seal(plain, every())
}

/// A rule that leaves nothing out, not even keys that end in `_unencrypted`.
fn every() -> SelectionRule {
    SelectionRule::UnencryptedRegex("^no key is called like this$".to_owned())
}

fn plain(sealed: &[u8]) -> Vec<u8> {
    let open = open_in(Format::Toml, sealed).unwrap_or_else(|error| panic!("{error}\n{}", lossy(sealed)));
    assert!(open.odd_comments().is_empty(), "comments do not open:\n{}", lossy(sealed));
    open.plain_text().unwrap().expose().to_vec()
}

fn with_key<R>(sealed: &[u8], work: impl FnOnce(OpenFile, &DataKey) -> R) -> R {
    let file = open_in(Format::Toml, sealed).unwrap_or_else(|error| panic!("{error}\n{}", lossy(sealed)));
    let key = keyring().unlock(&file.metadata().key_groups, file.metadata().shamir_threshold).unwrap();
    work(file, &key)
}

fn set(sealed: &[u8], path: &str, value: &Tree) -> Result<Option<Vec<u8>>, FileError> {
    let path = TreePath::parse(path).unwrap();
    let changed = with_key(sealed, |file, key| file.set(key, &path, value, STYLE))?;
    Ok(changed.map(|text| text.expose().to_vec()))
}

fn unset(sealed: &[u8], path: &str) -> Result<Vec<u8>, FileError> {
    let path = TreePath::parse(path).unwrap();
    let changed = with_key(sealed, |file, key| file.unset(key, &path, STYLE))?;
    Ok(changed.expect("something changed").expose().to_vec())
}

fn edited(sealed: &[u8], text: &[u8]) -> Result<Option<Vec<u8>>, FileError> {
    let changed = with_key(sealed, |file, key| file.edited(key, SecretText::copy_of(text), STYLE))?;
    Ok(changed.map(|text| text.expose().to_vec()))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The lines that differ, the time and the MAC aside.
fn changed_lines(before: &[u8], after: &[u8]) -> (Vec<String>, Vec<String>) {
    let lines = |text: &[u8]| -> Vec<String> {
        let is_seal = |line: &&str| line.starts_with("lastmodified =") || line.starts_with("mac =");
        lossy(text).split('\n').filter(|line| !is_seal(line)).map(str::to_owned).collect()
    };
    let (mut before, mut after) = (lines(before), lines(after));
    while !before.is_empty() && before.first() == after.first() {
        before.remove(0);
        after.remove(0);
    }
    while !before.is_empty() && before.last() == after.last() {
        before.pop();
        after.pop();
    }
    (before, after)
}

fn none() -> SelectionRule {
    SelectionRule::EncryptedRegex("^no key is called like this$".to_owned())
}

#[test]
fn every_toml_file_comes_back_byte_for_byte() {
    let rules = [
        SelectionRule::default(),
        every(),
        none(),
        SelectionRule::EncryptedRegex("^[a-m]".to_owned()),
        SelectionRule::EncryptedCommentRegex("about|beside".to_owned()),
    ];
    let mut problems = Vec::new();
    for (name, text) in corpus_of(Format::Toml) {
        for rule in &rules {
            let sealed = seal(&text, rule.clone());
            let back = plain(&sealed);
            if back != text {
                problems.push(format!("{name} {rule:?}:\n{}\n--- is\n{}", lossy(&text), lossy(&back)));
            }
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn a_toml_file_whose_values_stay_in_clear_has_only_the_metadata_more() {
    for (name, text) in corpus_of(Format::Toml) {
        let sealed = seal_in(Format::Toml, &text, none(), false).unwrap();
        let is_comment = text.contains(&b'#');
        assert!(is_comment || sealed.expose().starts_with(&text), "{name}");
        let block = lossy(sealed.expose());
        let at = block.find("[sops]").unwrap_or_else(|| panic!("{name}: no metadata"));
        assert!(block[at..].contains("[[sops.age]]") && block[at..].contains("mac = \"ENC["), "{name}");
    }
}

#[test]
fn no_value_and_no_comment_of_a_toml_file_stays_in_clear() {
    for (name, text) in corpus_of(Format::Toml) {
        let sealed = all(&text);
        let document = Format::Toml.store().parse(SecretText::copy_of(&sealed)).unwrap();
        let selection = Selection::compile(&SelectionRule::All).unwrap();
        let mut spots = 0;
        walk(&document, &selection, |place| -> Result<(), WalkError> {
            let span = match place.spot {
                Spot::Leaf(leaf) => leaf.span,
                Spot::Comment(comment) => comment.span,
            };
            let written = lossy(span.of(document.bytes()));
            let is_sealed = written.trim_start_matches('"').starts_with("ENC[AES256_GCM,data:");
            let is_empty = written.trim_matches(['"', '\'', '\n']).is_empty();
            assert!(is_sealed != is_empty, "{name}: {} is {written}", place.path);
            spots += usize::from(is_sealed);
            Ok(())
        })
        .unwrap();
        assert!(spots > 0 || text.len() < 90, "{name} has values");
    }
}

#[test]
fn canaries_of_every_kind_are_gone_from_a_sealed_toml_file() {
    let text = "# canary-1\n[a] # canary-2\nb = \"canary-3\" # canary-4\nc = '''\ncanary-5'''\nd = [ # canary-6\n \
                'canary-7', # canary-8\n # canary-9\n]\ne = { f = \"canary-10\" }\ng.h = \"canary-11\"\n[[i]]\n\
                # canary-12\nj = \"\\u0063anary-13\"\nn = 7412_8965\nt = 1999-11-22\n# canary-14";
    let sealed = all(text.as_bytes());
    for canary in ["canary", "anary-13", "7412", "1999-11"] {
        assert!(!lossy(&sealed).contains(canary), "{canary} in\n{}", lossy(&sealed));
    }
    assert_eq!(lossy(&plain(&sealed)), text);
}

#[test]
fn the_values_of_a_toml_file_have_the_kinds_of_the_sops_format_and_every_key_on_their_path() {
    let text = b"a.b = 0x10\n[c.d]\ne = 1.50\n[[c.f]]\ng = { h = true }\n[[c.f]]\ng = [1979-05-27T07:32:00Z]\nd = 1979-05-27\n";
    let found = values_in(Format::Toml, &all(text));
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "[\"a\"][\"b\"]",
            "[\"c\"][\"d\"][\"e\"]",
            "[\"c\"][\"f\"][\"g\"][\"h\"]",
            "[\"c\"][\"f\"][\"g\"]",
            "[\"c\"][\"f\"][\"d\"]"
        ]
    );
    let kinds: Vec<String> = found
        .iter()
        .map(|(_, value)| value.split("type:").nth(1).unwrap().split(']').next().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["int", "float", "bool", "time", "str"]);
}

/// Whether a path can be written with brackets and quotes: they have no escapes.
fn is_plain(path: &str) -> bool {
    !path.contains('\\')
}

/// Every value of a sealed text: its path with indices.
fn leaf_paths(sealed: &[u8]) -> Vec<String> {
    use orlop::document::{Item, Node};
    fn below(node: &Node, path: &str, found: &mut Vec<String>) {
        match node {
            Node::Leaf(_) => found.push(path.to_owned()),
            Node::Map(map) => {
                for pair in map.pairs() {
                    let key = pair.key.name.replace('\\', "\\\\").replace('"', "\\\"");
                    below(&pair.value, &format!("{path}[\"{key}\"]"), found);
                }
            }
            Node::List(list) => {
                for (at, item) in list.elements().enumerate() {
                    if let Item::Value { node, .. } = item {
                        below(node, &format!("{path}[{at}]"), found);
                    }
                }
            }
        }
    }
    let document = Format::Toml.store().parse(SecretText::copy_of(sealed)).unwrap();
    let mut found = Vec::new();
    for pair in document.branches[0].root.pairs().filter(|pair| pair.key.name != "sops") {
        let key = pair.key.name.replace('\\', "\\\\").replace('"', "\\\"");
        below(&pair.value, &format!("[\"{key}\"]"), &mut found);
    }
    found
}

#[test]
fn set_changes_one_value_of_a_toml_file_and_nothing_else() {
    for (name, text) in corpus_of(Format::Toml) {
        let sealed = all(&text);
        for path in leaf_paths(&sealed) {
            if !is_plain(&path) {
                continue;
            }
            let changed = set(&sealed, &path, &Tree::text("a new value")).unwrap();
            let changed = changed.unwrap_or_else(|| panic!("{name} {path}: nothing changed"));
            let (before, after) = changed_lines(&sealed, &changed);
            assert!(after.len() == 1 && !before.is_empty(), "{name} {path}: {before:?} {after:?}");
            let back = plain(&changed);
            let (_, after) = changed_lines(&text, &back);
            assert!(after.len() == 1 && after[0].contains("\"a new value\""), "{name} {path}: {after:?}");
            // Set again, there is nothing to do.
            assert!(set(&changed, &path, &Tree::text("a new value")).unwrap().is_none(), "{name} {path}");
        }
    }
}

#[test]
fn unset_takes_one_value_out_of_a_toml_file() {
    for (name, text) in corpus_of(Format::Toml) {
        let sealed = all(&text);
        let paths = leaf_paths(&sealed);
        for (number, path) in paths.iter().enumerate() {
            if !is_plain(path) {
                continue;
            }
            let changed = unset(&sealed, path).unwrap_or_else(|error| panic!("{name} {path}: {error}"));
            let back = plain(&changed);
            let before = values_in(Format::Toml, &text);
            let mut expected = before.clone();
            expected.remove(number);
            assert_eq!(values_in(Format::Toml, &back), expected, "{name} {path}:\n{}", lossy(&back));
        }
    }
}

#[test]
fn new_values_of_a_toml_file_stand_where_they_belong() {
    let number = |text: &str| Tree::Leaf(Plaintext::new(Kind::Int, SecretBytes::copy_of(text.as_bytes())));
    let map =
        || Tree::Map(vec![("x".to_owned(), number("1")), ("y".to_owned(), Tree::List(vec![number("2")]))]);
    for (text, path, value, expected) in [
        ("a = 1\n", "[\"b\"]", number("2"), "a = 1\nb = 2\n"),
        ("a = 1", "[\"b\"]", number("2"), "a = 1\nb = 2"),
        ("", "[\"b\"]", number("2"), "b = 2\n"),
        ("a = 1\r\n", "[\"b\"]", number("2"), "a = 1\r\nb = 2\r\n"),
        ("[t]\nx = 1\n", "[\"b\"]", number("2"), "b = 2\n\n[t]\nx = 1\n"),
        ("# file\n\n[t]\nx = 1\n", "[\"b\"]", number("2"), "# file\nb = 2\n\n[t]\nx = 1\n"),
        (
            "[t]\n  x = 1 # c\n\n# u\n[u]\n",
            "[\"t\"][\"y\"]",
            number("2"),
            "[t]\n  x = 1 # c\n  y = 2\n\n# u\n[u]\n",
        ),
        ("[t.u]\nx = 1\n", "[\"t\"][\"y\"]", number("2"), "[t]\ny = 2\n\n[t.u]\nx = 1\n"),
        ("t.u = 1\nz = 3\n", "[\"t\"][\"y\"]", number("2"), "t.u = 1\nt.y = 2\nz = 3\n"),
        ("t = { u = 1 }\n", "[\"t\"][\"y\"]", number("2"), "t = { u = 1, y = 2 }\n"),
        ("t = {}\n", "[\"t\"][\"y\"]", number("2"), "t = { y = 2 }\n"),
        ("t = { a.b = 1 }\n", "[\"t\"][\"a\"][\"c\"]", number("2"), "t = { a.b = 1, a.c = 2 }\n"),
        ("l = [1, 2]\n", "[\"l\"][5]", number("3"), "l = [1, 2, 3]\n"),
        ("l = [1, 2,]\n", "[\"l\"][5]", number("3"), "l = [1, 2, 3,]\n"),
        ("l = []\n", "[\"l\"][0]", number("3"), "l = [3]\n"),
        ("l = [\n  1, # one\n]\n", "[\"l\"][9]", number("3"), "l = [\n  1, # one\n  3,\n]\n"),
        ("l = [\n  1 # one\n]\n", "[\"l\"][9]", number("3"), "l = [\n  1, # one\n  3\n]\n"),
        (
            "[[l]]\na = 1\n\n[u]\nx = 1\n",
            "[\"l\"][1][\"a\"]",
            number("2"),
            "[[l]]\na = 1\n\n[[l]]\na = 2\n\n[u]\nx = 1\n",
        ),
        ("a = 1\n", "[\"b c\"][\"d\"]", map(), "a = 1\n\"b c\" = { d = { x = 1, y = [2] } }\n"),
        ("a = 1 # c\n", "[\"a\"][\"d\"]", number("2"), "a = { d = 2 } # c\n"),
        ("z = 0\n[a]\nb = 1\n[c]\nd = 1\n", "[\"a\"]", number("2"), "z = 0\na = 2\n[c]\nd = 1\n"),
    ] {
        let sealed = all(text.as_bytes());
        let changed =
            set(&sealed, path, &value).unwrap_or_else(|error| panic!("{text:?} {path}: {error}")).unwrap();
        assert_eq!(lossy(&plain(&changed)), expected, "{text:?} {path}");
    }
}

#[test]
fn tables_go_with_all_their_lines() {
    for (text, path, expected) in [
        ("[a]\nx = 1\n\n[b]\ny = 1\n", "[\"a\"]", "[b]\ny = 1\n"),
        ("[a]\nx = 1\n\n[b]\ny = 1\n", "[\"b\"]", "[a]\nx = 1\n"),
        ("[a]\nx = 1\n# b\n[b]\ny = 1\n[a.c]\nz = 1\n", "[\"a\"]", "# b\n[b]\ny = 1\n"),
        ("a.x = 1\nb = 1\na.y = 2\n", "[\"a\"]", "b = 1\n"),
        ("[[l]]\na = 1\n[[l]]\na = 2\n[[l]]\na = 3\n", "[\"l\"][1]", "[[l]]\na = 1\n[[l]]\na = 3\n"),
        ("a = 1 # with\nb = 2\n", "[\"a\"]", "b = 2\n"),
        ("a = [\n  1,\n  2, # two\n  3,\n]\n", "[\"a\"][0]", "a = [\n  2, # two\n  3,\n]\n"),
        ("a = [1, 2, 3]\n", "[\"a\"][2]", "a = [1, 2]\n"),
        ("a = { b = 1, c = 2 }\n", "[\"a\"][\"c\"]", "a = { b = 1 }\n"),
        ("a = { b = 1 }\n", "[\"a\"][\"b\"]", "a = {}\n"),
    ] {
        let sealed = all(text.as_bytes());
        let changed = unset(&sealed, path).unwrap_or_else(|error| panic!("{text:?} {path}: {error}"));
        assert_eq!(lossy(&plain(&changed)), expected, "{text:?} {path}");
    }
}

#[test]
fn what_toml_has_no_place_for_is_refused() {
    let sealed = all(b"a = 1\n");
    let error = set(&sealed, "[\"b\"]", &Tree::Null).unwrap_err().to_string();
    assert!(error.contains("TOML cannot hold this: a null as the value of \"b\""), "{error}");
    let bytes = Tree::Leaf(Plaintext::new(Kind::Str, SecretBytes::copy_of(b"\xFF")));
    let error = set(&sealed, "[\"b\"]", &bytes).unwrap_err().to_string();
    assert!(error.contains("not UTF-8"), "{error}");
}

#[test]
fn a_toml_file_that_was_not_edited_is_not_written_and_one_that_was_keeps_its_sealed_texts() {
    for (name, text) in corpus_of(Format::Toml) {
        let sealed = all(&text);
        assert!(edited(&sealed, &text).unwrap().is_none(), "{name}");
        let mut more = text.clone();
        let at = if more.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        more.splice(at..at, b"brand_new = 'k'\n".iter().copied());
        let changed = edited(&sealed, &more).unwrap().unwrap();
        assert_eq!(lossy(&plain(&changed)), lossy(&more), "{name}");
        let (before, after) = changed_lines(&sealed, &changed);
        // With the first line break of a file, new lines of the metadata may look another way.
        if text.contains(&b'\n') && !name.starts_with("crlf") && !name.starts_with("bom") {
            assert!(before.is_empty() && after.len() == 1, "{name}: {before:?} {after:?}");
        }
    }
}

#[test]
fn another_spelling_is_a_change_of_a_toml_file() {
    let sealed = all(b"a = 'x'\nb = 16\nc = 1979-05-27\n");
    for text in ["a = \"x\"\nb = 16\nc = 1979-05-27\n", "a = 'x'\nb = 0x10\nc = '1979-05-27'\n"] {
        let changed = edited(&sealed, text.as_bytes()).unwrap().unwrap();
        assert_eq!(lossy(&plain(&changed)), text);
    }
}

#[test]
fn rotate_seals_every_value_of_a_toml_file_afresh() {
    for (name, text) in corpus_of(Format::Toml) {
        let sealed = all(&text);
        let key = DataKey::generate().unwrap();
        let rotated = with_key(&sealed, |mut file, _| {
            let metadata = file.metadata_mut();
            metadata.shamir_threshold = keyring().wrap(&mut metadata.key_groups, 0, &key).unwrap();
            file.rotate(&key, STYLE).unwrap()
        });
        assert_eq!(lossy(&plain(rotated.expose())), lossy(&text), "{name}");
        let texts = |text: &[u8]| -> Vec<String> {
            lossy(text).lines().filter(|line| line.contains("ENC[")).map(str::to_owned).collect()
        };
        let before = texts(&sealed);
        assert!(texts(rotated.expose()).iter().all(|line| !before.contains(line)), "{name}");
    }
}

#[test]
fn damage_to_a_toml_file_is_noticed() {
    let sealed = lossy(&all(b"[a]\nx = 'one'\ny = 'two'\n[b]\nz = 3\n"));
    let lines: Vec<&str> = sealed.lines().collect();
    let at = |start: &str| lines.iter().position(|line| line.starts_with(start)).unwrap();
    let mut without = lines.clone();
    without.remove(at("y = "));
    let mut swapped = lines.clone();
    swapped.swap(at("x = "), at("y = "));
    let mut renamed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    renamed[at("[a]")] = "[c]".to_owned();
    let mut cut = lines.clone();
    cut.truncate(at("[[sops.age]]"));
    for damaged in [without.join("\n"), renamed.join("\n"), cut.join("\n"), sealed.replace("data:", "data:A")]
    {
        let opened = SealedCheck::open(&damaged);
        assert!(opened.is_err(), "{damaged}");
    }
    // The order of two keys is part of what the MAC covers.
    assert!(SealedCheck::open(&swapped.join("\n")).is_err());
}

struct SealedCheck;

impl SealedCheck {
    fn open(text: &str) -> Result<(), String> {
        let store = Format::Toml.store();
        let file = orlop::SealedFile::parse(SecretText::copy_of(text.as_bytes()), store)
            .map_err(|e| e.to_string())?;
        let metadata = file.metadata();
        let key =
            keyring().unlock(&metadata.key_groups, metadata.shamir_threshold).map_err(|e| e.to_string())?;
        file.open(&key).map(|_| ()).map_err(|e| e.to_string())
    }
}

#[test]
fn what_is_no_toml_is_refused_with_its_place_and_without_its_text() {
    for (text, place, problem) in [
        ("a = secret\n", "1:5", ""),
        ("a = 1\na = 'secret'\n", "2:1", "twice"),
        ("[a]\nx = 'secret'\n[a]\n", "3:2", "defined twice"),
        ("a = 1\n[a]\nx = 'secret'\n", "2:2", "not as a table"),
        ("a = {x = 'secret'}\n[a.b]\n", "2:2", "not as a table"),
        ("a = {x = 'secret'}\na.y = 1\n", "2:1", "not as a table"),
        ("a = ['secret']\n[[a]]\n", "2:3", "not as a table"),
        ("[[a]]\nx = 'secret'\n[a]\n", "3:2", "not as a table"),
        ("[a.b]\nx = 'secret'\n[a]\nb.y = 1\n", "4:1", "not as a table"),
        ("a = \"secret\n", "1:", ""),
        ("a = \"\\qsecret\"\n", "1:7", ""),
        ("a = 99999999999999999999\n", "1:5", "out of range"),
        ("a = 2024-13-01\n", "1:5", "no such date"),
        ("a = [1, 2\n", "", ""),
        ("= 'secret'\n", "1:1", ""),
        ("a 'secret'\n", "1:", ""),
        ("{\"a\": \"secret\"}\n", "1:1", ""),
        ("a = 1\0\n", "1:6", "NUL"),
        ("[sops]\n[a]\nb = 'secret'\n[sops.age]\n", "4:1", "second part"),
    ] {
        let read = PlainFile::parse(SecretText::copy_of(text.as_bytes()), Format::Toml.store());
        let error = read.err().unwrap_or_else(|| panic!("{text:?} was read")).to_string();
        assert!(error.starts_with(place) && error.contains(problem), "{text:?}: {error}");
        assert!(!error.contains("secret"), "{text:?}: {error}");
    }
    let read = PlainFile::parse(SecretText::copy_of(b"a = \"\xFF\"\n"), Format::Toml.store());
    assert!(read.err().unwrap().to_string().starts_with("1:6: these bytes are not UTF-8"));
    for text in ["sops = 1\n", "[sops]\nx = 1\n", "sops.x = 1\n", "[[sops]]\n", "[sops.x]\n", "'sops' = {}\n"]
    {
        let read = PlainFile::parse(SecretText::copy_of(text.as_bytes()), Format::Toml.store());
        assert!(matches!(read, Err(FileError::AlreadySealed)), "{text:?}");
    }
}

#[test]
fn deep_nesting_of_toml_is_an_error_and_no_overflow() {
    let read = |text: String| PlainFile::parse(SecretText::from(text), Format::Toml.store()).map(|_| ());
    for depth in [1_000, 200_000] {
        assert!(read(format!("a = {}{}\n", "[".repeat(depth), "]".repeat(depth))).is_err());
        assert!(read(format!("a = {}1{}\n", "{a=".repeat(depth), "}".repeat(depth))).is_err());
        assert!(read(format!("{}a = 1\n", "a.".repeat(depth))).is_err());
        assert!(read(format!("[{}a]\n", "a.".repeat(depth))).is_err());
    }
    assert!(read(format!("a = {}{}\n", "[".repeat(200), "]".repeat(200))).is_ok());
}

// ---------------------------------------------------------------- the program

const SAMPLE: &str = "# canary comment\nname = 'canary-name'\nport = 0x1F90\nratio = 1.50\nwhen = 2024-01-31\n\n[db]\n\
                      password = \"canary-pass\" # canary beside\nhosts = [\"canary-a\", \"canary-b\"]\n\n[[users]]\n\
                      name = \"canary-u\"\n";

#[test]
fn the_program_encrypts_changes_and_decrypts_toml_files_in_place() {
    let desk = Desk::new();
    desk.file("a.toml", SAMPLE);
    desk.run(["encrypt", "-i", "a.toml"]).ok();
    let sealed = desk.text("a.toml");
    assert!(sealed.contains("\n[sops]\n") && !sealed.contains("canary"), "{sealed}");
    assert_eq!(desk.run(["decrypt", "a.toml"]).ok(), SAMPLE);
    assert_eq!(desk.run(["filestatus", "a.toml"]).ok(), "{\"encrypted\":true}\n");
    assert_eq!(desk.run(["decrypt", "--extract", "[\"db\"][\"hosts\"][1]", "a.toml"]).ok(), "canary-b");
    assert_eq!(desk.run(["decrypt", "--extract", "[\"port\"]", "a.toml"]).ok().trim_end(), "8080");
    assert_eq!(
        desk.run(["decrypt", "--extract", "[\"db\"]", "a.toml"]).ok(),
        "password = \"canary-pass\" #canary beside\nhosts = [\"canary-a\", \"canary-b\"]\n"
            .replace("#c", "# c")
    );
    desk.run(["set", "a.toml", "[\"db\"][\"hosts\"][2]", "\"canary-c\""]).ok();
    desk.run(["unset", "a.toml", "[\"name\"]"]).ok();
    desk.run(["rotate", "-i", "a.toml"]).ok();
    let expected =
        SAMPLE.replace("name = 'canary-name'\n", "").replace("\"canary-b\"]", "\"canary-b\", \"canary-c\"]");
    assert_eq!(desk.run(["decrypt", "a.toml"]).ok(), expected);
    let error = desk.run(["encrypt", "-i", "a.toml"]).fails(203);
    assert!(error.contains("sops"), "{error}");
    desk.file("b.toml", "a = 'canary\n");
    let error = desk.run(["encrypt", "-i", "b.toml"]);
    assert!(error.code != Some(0) && !error.stderr.contains("canary"), "{}", error.stderr);
}

#[cfg(unix)]
#[test]
fn under_the_name_of_sops_a_toml_file_is_binary_and_toml_no_type() {
    use std::os::unix::process::CommandExt as _;
    let desk = Desk::new();
    desk.file("a.toml", SAMPLE);
    let as_sops = |words: &[&str]| desk.run_command(desk.orlop(words.iter().copied()).arg0("sops"));
    as_sops(&["encrypt", "-i", "a.toml"]).ok();
    let sealed = desk.text("a.toml");
    assert!(sealed.starts_with("{\n\t\"data\": \"ENC["), "{sealed}");
    // What sops makes of it is read under either name.
    assert_eq!(as_sops(&["decrypt", "a.toml"]).ok(), SAMPLE);
    assert_eq!(desk.run(["decrypt", "a.toml"]).ok(), SAMPLE);
    assert_eq!(desk.run(["filestatus", "a.toml"]).ok(), "{\"encrypted\":true}\n");
    desk.run(["rotate", "-i", "a.toml"]).ok();
    assert!(desk.text("a.toml").starts_with("{\n\t\"data\": \"ENC["));
    assert_eq!(as_sops(&["decrypt", "a.toml"]).ok(), SAMPLE);
    // A type that is none counts as not given.
    desk.file("b.yaml", "a: canary\n");
    as_sops(&["encrypt", "-i", "--input-type", "toml", "--output-type", "toml", "b.yaml"]).ok();
    assert!(desk.text("b.yaml").starts_with("a: ENC["), "{}", desk.text("b.yaml"));
}

#[cfg(feature = "peers")]
#[test]
fn what_orlop_makes_of_a_toml_file_as_sops_real_sops_reads_and_the_other_way_round() {
    use std::os::unix::process::CommandExt as _;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".sops.yaml"), "stores: {}\n").unwrap();
    let file = folder.path().join("a.toml");
    let recipient = crate::support::recipient();
    let ours = |name: &str, words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_orlop"));
        command.arg0(name).args(words).arg(&file).current_dir(folder.path()).env_clear();
        let output = command.env("SOPS_AGE_KEY_FILE", crate::support::identity_file()).output().unwrap();
        assert!(output.status.success(), "{}", lossy(&output.stderr));
        output.stdout
    };
    for (name, text) in corpus_of(Format::Toml) {
        std::fs::write(&file, &text).unwrap();
        ours("sops", &["encrypt", "-i", "--age", &recipient]);
        let path = file.to_str().unwrap();
        let theirs = crate::support::sops(["decrypt", path], b"");
        assert_eq!(lossy(&theirs.stdout), lossy(&text), "{name}: {}", lossy(&theirs.stderr));
        std::fs::write(&file, &text).unwrap();
        let sealed = crate::support::sops(["encrypt", "--age", &recipient, path], b"");
        std::fs::write(&file, &sealed.stdout).unwrap();
        assert_eq!(lossy(&ours("sops", &["decrypt"])), lossy(&text), "{name}");
        assert_eq!(lossy(&ours("orlop", &["decrypt"])), lossy(&text), "{name}");
    }
}

/// A text in another format: sealed as it is, or opened.
#[cfg(feature = "peers")]
fn converted(words: &[&str], from: &str, to: &str, text: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".sops.yaml"), "stores: {}\n").unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_orlop"))
        .args(words)
        .args(["--filename-override", "f", "--input-type", from, "--output-type", to])
        .current_dir(folder.path())
        .env_clear()
        .env("SOPS_AGE_KEY_FILE", crate::support::identity_file())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text).ok();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{from} {to}: {}\n{}", lossy(&output.stderr), lossy(text));
    output.stdout
}

#[cfg(feature = "peers")]
#[test]
fn a_toml_file_sealed_as_yaml_is_one_that_real_sops_decrypts_to_the_same_values() {
    let recipient = crate::support::recipient();
    for (name, text) in corpus_of(Format::Toml) {
        // JSON, in which the values are compared, has no infinite floats; sops takes what looks sealed for sealed.
        if values_in(Format::Toml, &text).is_empty() || name == "floats" || name == "sealed-lookalikes" {
            continue;
        }
        for to in ["yaml", "json"] {
            let sealed = converted(&["encrypt", "--age", &recipient], "toml", to, &text);
            let opened =
                crate::support::sops(["decrypt", "--input-type", to, "--output-type", "json"], &sealed);
            assert!(opened.status.success(), "{name} {to}: {}\n{}", lossy(&opened.stderr), lossy(&sealed));
            let plain = converted(&["decrypt"], "toml", "json", &all(&text));
            let value = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
            assert_eq!(value(&opened.stdout), value(&plain), "{name} {to}");
        }
    }
}

#[cfg(feature = "peers")]
#[test]
fn yaml_and_json_files_of_real_sops_become_toml_and_come_back_with_their_values() {
    let recipient = crate::support::recipient();
    let yaml = "# top\na: 1\nb: \"x\\ny\\n\"\nearly:\n    # inside\n    c: 1.0 # beside\nl: # list\n    # first\n    - 1\n    - two # too\n\
                t: 2001-12-14T21:59:43.1Z\nlast:\n    # about x\n    x: 1e10\n    deep:\n        y: true\n    # end of last\n\
                # about rows\nrows:\n    # about the first\n    - a: 1\n    - a: 2\n      s: {}\nempty: []\n\"odd key\": ''\ntable:\n    k: v\n";
    let sealed = crate::support::sops(
        [
            "encrypt",
            "--age",
            &recipient,
            "--filename-override",
            "f",
            "--input-type",
            "yaml",
            "--output-type",
            "yaml",
        ],
        yaml.as_bytes(),
    )
    .stdout;
    let value = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
    let as_json =
        crate::support::sops(["decrypt", "--input-type", "yaml", "--output-type", "json"], &sealed).stdout;
    // Opened.
    let plain = converted(&["decrypt"], "yaml", "toml", &sealed);
    for comment in
        ["# top", "# inside", "# beside", "# first", "# too", "# about x", "# end of last", "# about rows"]
    {
        assert!(lossy(&plain).contains(comment), "{comment} is gone:\n{}", lossy(&plain));
    }
    let again = converted(&["decrypt"], "toml", "json", &all(&plain));
    assert_eq!(value(&again), value(&as_json), "{}", lossy(&plain));
    // Sealed: the texts stay as they are, and so does the MAC.
    let key = with_key_of_yaml(&sealed);
    let file = orlop::SealedFile::parse(SecretText::copy_of(&sealed), Format::Yaml.store()).unwrap();
    let toml = file.converted(Format::Toml.store(), STYLE).unwrap();
    let toml_file = orlop::SealedFile::parse(toml, Format::Toml.store()).unwrap();
    let open = toml_file.open(&key).unwrap_or_else(|error| panic!("{error}"));
    assert!(open.odd_comments().is_empty(), "{}", lossy(open.sealed_text()));
    let json = open.reprinted(Format::Json.store(), STYLE).unwrap();
    assert_eq!(value(json.expose()), value(&as_json));
}

#[cfg(feature = "peers")]
fn with_key_of_yaml(sealed: &[u8]) -> DataKey {
    let file = orlop::SealedFile::parse(SecretText::copy_of(sealed), Format::Yaml.store()).unwrap();
    keyring().unlock(&file.metadata().key_groups, file.metadata().shamir_threshold).unwrap()
}

#[test]
fn the_normal_form_of_every_toml_file_has_its_values_in_their_order() {
    for (name, text) in corpus_of(Format::Toml) {
        let open = open_in(Format::Toml, &all(&text)).unwrap();
        let printed = open.reprinted(Format::Toml.store(), STYLE).unwrap();
        let (before, after) = (values_in(Format::Toml, &text), values_in(Format::Toml, printed.expose()));
        assert_eq!(before, after, "{name}:\n{}", lossy(printed.expose()));
        assert_eq!(
            text.contains(&b'#'),
            printed.expose().contains(&b'#'),
            "{name}:\n{}",
            lossy(printed.expose())
        );
        // It is one: printed again, nothing changes.
        let open = open_in(Format::Toml, &all(printed.expose())).unwrap();
        let again = open.reprinted(Format::Toml.store(), STYLE).unwrap();
        assert_eq!(lossy(again.expose()), lossy(printed.expose()), "{name}");
    }
}

// ---------------------------------------------------------------- generated files

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-e]".prop_map(|key| key),
        "[A-Za-z0-9_-]{1,6}".prop_map(|key| if key == "sops" { "x".to_owned() } else { key }),
        "\"[a-z .é#=]{0,5}\"".prop_map(|key| key),
        "'[a-z .\"#]{1,5}'".prop_map(|key| key),
    ]
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        "\"[ -!#-\\[\\]-~é🔑]{0,12}\"".prop_map(|text| text),
        "'[ -&(-~é]{0,12}'".prop_map(|text| text),
        "\"\"\"\n?[ -!#-\\[\\]-~\n]{0,20}\"\"\"".prop_map(|text| text),
        "'''\n?[ -&(-~\n]{0,20}'''".prop_map(|text| text),
        Just(r#""\u00e9\t\\\"\U0001F511""#.to_owned()),
        "[+-]?(0|[1-9](_?[0-9]){0,9})".prop_map(|text| text),
        "0x[0-9a-fA-F]{1,8}|0o[0-7]{1,8}|0b[01]{1,8}".prop_map(|text| text),
        "[+-]?(0|[1-9][0-9]{0,5})\\.[0-9]{1,6}([eE][+-]?[0-9]{1,2})?".prop_map(|text| text),
        "[+-]?(inf|nan)|true|false".prop_map(|text| text),
        "20[0-9]{2}-0[1-9]-1[0-9]([T ]1[0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]0[0-9]:30)?)?"
            .prop_map(|text| text),
    ]
}

fn value() -> impl Strategy<Value = String> {
    let gap = || prop_oneof![Just(""), Just(" "), Just("\n  "), Just(" # c,]\n"), Just("\n# d\n\n")];
    scalar().prop_recursive(3, 12, 4, move |inner| {
        prop_oneof![
            (proptest::collection::vec((gap(), inner.clone(), gap()), 0..4), gap(), any::<bool>()).prop_map(
                |(items, last, comma)| {
                    let texts: Vec<String> =
                        items.iter().map(|(a, value, b)| format!("{a}{value}{b}")).collect();
                    let comma = if comma && !texts.is_empty() { "," } else { "" };
                    format!("[{}{comma}{last}]", texts.join(","))
                }
            ),
            proptest::collection::vec((key(), inner), 0..4).prop_map(|pairs| {
                let pairs: Vec<String> =
                    pairs.iter().map(|(key, value)| format!(" {key} = {value}")).collect();
                format!("{{{} }}", pairs.join(","))
            }),
        ]
    })
}

fn line() -> impl Strategy<Value = String> {
    let tail = || prop_oneof![4 => Just(""), 1 => Just(" # beside"), 1 => Just("\t")];
    let path = || proptest::collection::vec(key(), 1..4).prop_map(|keys| keys.join("."));
    prop_oneof![
        6 => (key(), value(), tail()).prop_map(|(key, value, tail)| format!("{key} = {value}{tail}\n")),
        2 => (path(), value(), tail()).prop_map(|(path, value, tail)| format!("  {path}={value}{tail}\n")),
        2 => (path(), tail()).prop_map(|(path, tail)| format!("[{path}]{tail}\n")),
        1 => (path(), tail()).prop_map(|(path, tail)| format!("[[ {path} ]]{tail}\n")),
        2 => "#[ -~é]{0,10}\n".prop_map(|text| text),
        1 => Just("\n".to_owned()),
    ]
}

/// A file: of the lines, those that fit behind the ones before.
fn file() -> impl Strategy<Value = String> {
    (proptest::collection::vec(line(), 0..14), any::<bool>(), any::<bool>()).prop_map(
        |(lines, crlf, ends)| {
            let mut text = String::new();
            for line in lines {
                let with = format!("{text}{line}");
                let read = PlainFile::parse(SecretText::from(with.as_str()), Format::Toml.store());
                if read.is_ok() {
                    text = with;
                }
            }
            if crlf {
                text = text.replace('\n', "\r\n");
            }
            if !ends && text.ends_with('\n') {
                text.truncate(text.trim_end_matches(['\r', '\n']).len());
            }
            text
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_toml_comes_back_and_changes_in_one_place(text in file(), pick in any::<prop::sample::Index>()) {
        for rule in [every(), SelectionRule::EncryptedRegex("^[a-c]$".to_owned())] {
            let sealed = seal(text.as_bytes(), rule);
            prop_assert_eq!(lossy(&plain(&sealed)), text.clone());
            prop_assert!(edited(&sealed, text.as_bytes()).unwrap().is_none());
            let paths = leaf_paths(&sealed);
            let paths: Vec<&String> = paths.iter().filter(|path| is_plain(path)).collect();
            if !paths.is_empty() {
                let path = paths[pick.index(paths.len())];
                let before = values_in(Format::Toml, text.as_bytes());
                let changed = set(&sealed, path, &Tree::text("n e w")).unwrap().unwrap();
                let after = values_in(Format::Toml, &plain(&changed));
                let different = before.iter().zip(&after).filter(|(one, other)| one != other).count();
                prop_assert!(different == 1 && before.len() == after.len(), "{} {:?}", path, after);
                let removed = unset(&sealed, path).unwrap();
                prop_assert_eq!(values_in(Format::Toml, &plain(&removed)).len() + 1, before.len(), "{}", path);
            }
            let added = set(&sealed, "[\"quite new\"]", &Tree::text("n e w")).unwrap().unwrap();
            let after = plain(&added);
            prop_assert!(lossy(&after).contains("\"quite new\" = \"n e w\""));
            let back = plain(&unset(&added, "[\"quite new\"]").unwrap());
            prop_assert_eq!(values_in(Format::Toml, &back), values_in(Format::Toml, text.as_bytes()));
        }
    }
}
