//! `set`, `unset`, `edit` and `rotate` change what they must and nothing else.

use orlop::{DataKey, Keyring, OpenFile, SecretText, SelectionRule, Tree, TreePath};

use crate::support::{STYLE, comments, corpus, in_parallel, keyring, open, seal, sops, values};

fn key_of(file: &OpenFile, keyring: &Keyring) -> DataKey {
    keyring.unlock(&file.metadata().key_groups, file.metadata().shamir_threshold).unwrap()
}

fn with_key<R>(sealed: &[u8], work: impl FnOnce(OpenFile, &DataKey) -> R) -> R {
    let file = open(sealed).unwrap();
    let key = key_of(&file, &keyring());
    work(file, &key)
}

fn set(sealed: &[u8], path: &str, value: &Tree) -> Option<SecretText> {
    let path = TreePath::parse(path).unwrap();
    with_key(sealed, |file, key| file.set(key, &path, value, STYLE)).unwrap()
}

fn unset(sealed: &[u8], path: &str) -> SecretText {
    let path = TreePath::parse(path).unwrap();
    with_key(sealed, |file, key| file.unset(key, &path, STYLE)).unwrap().unwrap()
}

fn plain(sealed: &[u8]) -> Vec<u8> {
    open(sealed).unwrap().plain_text().unwrap().expose().to_vec()
}

/// The lines of `after` that are not in `before` at their place, and the other way round, the time and the MAC aside.
fn changed_lines(before: &[u8], after: &[u8]) -> (Vec<String>, Vec<String>) {
    let lines = |text: &[u8]| -> Vec<String> {
        let is_of_metadata = |line: &&str| {
            let line = line.trim_start();
            !line.starts_with("lastmodified:") && !line.starts_with("mac:") && !line.contains("\"sops\": {")
        };
        String::from_utf8_lossy(text).split('\n').filter(is_of_metadata).map(str::to_owned).collect()
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

/// The corpus sealed by orlop, and sealed by sops.
fn sealed_corpus() -> Vec<(String, Vec<u8>)> {
    let files = corpus();
    let both = in_parallel(&files, |(name, text)| {
        let ours = seal(text, SelectionRule::default(), false).unwrap().expose().to_vec();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f.yaml");
        std::fs::write(&file, text).unwrap();
        let recipient = crate::support::recipient();
        let theirs = sops(["encrypt", "--age", &recipient, file.to_str().unwrap()], b"").stdout;
        [(format!("{name} by orlop"), ours), (format!("{name} by sops"), theirs)]
    });
    both.into_iter().flatten().collect()
}

/// Files that sops sealed so that it cannot open one of their comments: any change mends that comment too.
fn has_a_comment_to_mend(name: &str) -> bool {
    let layouts = ["comment-13c-", "comment-13e-", "comment-13f-", "comment-13k-", "comment-24-"];
    name.ends_with(" by sops") && layouts.iter().any(|layout| name.starts_with(layout))
}

#[test]
fn setting_a_new_key_adds_its_lines_only_and_removing_it_takes_them_away() {
    let files = sealed_corpus();
    let problems: Vec<String> = in_parallel(&files, |(name, sealed)| {
        let with = set(sealed, r#"["orlop new"]"#, &Tree::text("a new: value")).expect("something changed");
        let (gone, added) = changed_lines(sealed, with.expose());
        let is_flow =
            String::from_utf8_lossy(sealed).contains("\"sops\": {") || name.starts_with("bytes-cr-only");
        if !is_flow && !has_a_comment_to_mend(name) && (!gone.is_empty() || added.len() != 1) {
            return Some(format!("{name}: {gone:?} became {added:?}"));
        }
        let mut expected = values(&plain(sealed));
        let now = values(&plain(with.expose()));
        let entry = (r#"["orlop new"]"#.to_owned(), r#"str: "a new: value""#.to_owned());
        if !now.contains(&entry) {
            return Some(format!("{name}: the new value is missing in {now:?}"));
        }
        let others: Vec<_> = now.into_iter().filter(|value| *value != entry).collect();
        expected.retain(|value| *value != entry);
        if others != expected {
            return Some(format!("{name}: other values changed\n{others:?}\n{expected:?}"));
        }
        let json = sops(["decrypt", "--input-type", "yaml", "--output-type", "yaml"], with.expose());
        if !json.status.success() {
            return Some(format!("{name}: sops: {}", String::from_utf8_lossy(&json.stderr)));
        }
        let without = unset(with.expose(), r#"["orlop new"]"#);
        let (gone, added) = changed_lines(sealed, without.expose());
        let same = gone.is_empty() && added.is_empty() || name.starts_with("bytes-cr-only");
        (!same && !has_a_comment_to_mend(name))
            .then(|| format!("{name}: after unset {gone:?} became {added:?}"))
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(problems.is_empty(), "{} of {}:\n{}", problems.len(), files.len(), problems.join("\n"));
}

#[test]
fn setting_a_value_to_what_it_is_changes_nothing() {
    let sealed = seal(b"a: 1\nb: text # c\nc: [x, y]\n", SelectionRule::default(), false).unwrap();
    assert!(set(sealed.expose(), r#"["b"]"#, &Tree::text("text")).is_none());
    assert!(set(sealed.expose(), r#"["c"][1]"#, &Tree::text("y")).is_none());
    assert!(set(sealed.expose(), r#"["c"][1]"#, &Tree::text("z")).is_some());
}

#[test]
fn setting_replaces_values_of_any_shape() {
    let text = "# top\na: 1 # one\nb:\n  c: 'x'\n  # in b\n  d: [1, 2]\nl:\n  - p: 1\n    q: 2\n  - |\n    block\n    text\nn:\ne: {}\n";
    let sealed = seal(text.as_bytes(), SelectionRule::default(), false).unwrap();
    let map = || Tree::Map(vec![("k".to_owned(), Tree::text("v")), ("m".to_owned(), Tree::Null)]);
    for (path, value, expected) in [
        (r#"["a"]"#, Tree::text("no"), text.replace("a: 1 #", "a: \"no\" #")),
        (r#"["a"]"#, Tree::text("two\nlines"), text.replace("a: 1 # one", "a: |- # one\n    two\n    lines")),
        (r#"["a"]"#, map(), text.replace("a: 1 # one", "a: # one\n    k: v\n    m: null")),
        (r#"["b"]["c"]"#, Tree::text("it's"), text.replace("'x'", "'it''s'")),
        (r#"["b"]["new"]"#, Tree::text("v"), text.replace("  d: [1, 2]\n", "  d: [1, 2]\n  new: v\n")),
        (r#"["b"]["d"][1]"#, Tree::text("two"), text.replace("[1, 2]", "[1, \"two\"]")),
        (r#"["b"]["d"][7]"#, Tree::text("three"), text.replace("[1, 2]", "[1, 2, \"three\"]")),
        (r#"["b"]["d"]"#, Tree::text("gone"), text.replace("d: [1, 2]", "d: gone")),
        (r#"["l"][0]["q"]"#, Tree::text("z"), text.replace("q: 2", "q: z")),
        (r#"["l"][1]"#, Tree::text("other\n"), text.replace("block\n    text", "other")),
        (r#"["l"][1]"#, Tree::text("one line"), text.replace("|\n    block\n    text", "one line")),
        (r#"["l"][2]"#, map(), text.replace("n:\n", "  - k: v\n    m: null\nn:\n")),
        (r#"["n"]"#, Tree::text("x"), text.replace("n:\n", "n: x\n")),
        (r#"["n"]["deep"][0]"#, Tree::text("x"), text.replace("n:\n", "n:\n    deep:\n        - x\n")),
        (r#"["e"]["k"]"#, Tree::text("x"), text.replace("{}", "{\"k\": \"x\"}")),
        (r#"["b"]"#, Tree::text("flat"), text.replace("b:\n  c: 'x'\n  # in b\n  d: [1, 2]", "b: flat")),
    ] {
        let changed = set(sealed.expose(), path, &value).expect("something changed");
        assert_eq!(String::from_utf8_lossy(&plain(changed.expose())), expected, "{path}");
    }
}

#[test]
fn removing_takes_the_entry_and_leaves_the_rest() {
    let text = "a: 1 # one\nb:\n  c: x\n  d: [1, 2]\nl:\n  - p: 1\n    q: 2\n  - only\n";
    let sealed = seal(text.as_bytes(), SelectionRule::default(), false).unwrap();
    for (path, expected) in [
        (r#"["a"]"#, text.replace("a: 1 # one\n", "")),
        (r#"["b"]["c"]"#, text.replace("  c: x\n", "")),
        (r#"["b"]"#, text.replace("b:\n  c: x\n  d: [1, 2]\n", "")),
        (r#"["b"]["d"][0]"#, text.replace("[1, 2]", "[2]")),
        (r#"["l"][0]["p"]"#, text.replace("- p: 1\n    q: 2", "- q: 2")),
        (r#"["l"][0]"#, text.replace("  - p: 1\n    q: 2\n", "")),
        (r#"["l"][1]"#, text.replace("  - only\n", "")),
    ] {
        let changed = unset(sealed.expose(), path);
        assert_eq!(String::from_utf8_lossy(&plain(changed.expose())), expected, "{path}");
    }
    let single = seal(b"m:\n  k: v\nl:\n  - x\n", SelectionRule::default(), false).unwrap();
    assert_eq!(plain(unset(single.expose(), r#"["m"]["k"]"#).expose()), b"m:\n  {}\nl:\n  - x\n");
    assert_eq!(plain(unset(single.expose(), r#"["l"][0]"#).expose()), b"m:\n  k: v\nl:\n  []\n");
}

#[test]
fn an_edit_without_a_change_gives_nothing_to_write() {
    let files = sealed_corpus();
    let problems: Vec<String> = in_parallel(&files, |(name, sealed)| {
        let unchanged = with_key(sealed, |file, key| {
            let text = file.plain_text().unwrap();
            file.edited(key, text, STYLE)
        });
        match unchanged {
            Ok(None) => None,
            Ok(Some(text)) => Some(format!("{name}: {:?}", changed_lines(sealed, text.expose()))),
            Err(error) => Some(format!("{name}: {error}")),
        }
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(problems.is_empty(), "{} of {}:\n{}", problems.len(), files.len(), problems.join("\n"));
}

#[test]
fn an_edit_changes_the_line_of_the_value_that_was_edited_only() {
    let files = sealed_corpus();
    let problems: Vec<String> = in_parallel(&files, |(name, sealed)| {
        let before = plain(sealed);
        let unfit = [b"{}".as_slice(), b"{", b"\xEF\xBB\xBF"].iter().any(|start| before.starts_with(start));
        let empty = ["document", "comment-27-", "comment-12-"].iter().any(|start| name.starts_with(start));
        // sops puts a comment behind a block's header, where the edited text has the block itself.
        let restyled = name == "comment-07-on-a-block-scalar-header by sops";
        if unfit || empty || restyled || has_a_comment_to_mend(name) || before.contains(&b'\r') {
            return None; // another line cannot simply be put in front
        }
        let edited = with_key(sealed, |file, key| {
            let marker = before.windows(4).position(|w| w == b"---\n" || w == b"--- ").map_or(0, |at| at + 4);
            let at = if before.starts_with(b"%") || before.starts_with(b"---") { marker } else { 0 };
            let mut text = before[..at].to_vec();
            text.extend_from_slice(b"orlop_edit: here\n");
            text.extend_from_slice(&before[at..]);
            file.edited(key, SecretText::new(text), STYLE)
        });
        let edited = match edited {
            Ok(Some(edited)) => edited,
            Ok(None) => return Some(format!("{name}: not changed")),
            Err(error) => return Some(format!("{name}: {error}")),
        };
        let (gone, added) = changed_lines(sealed, edited.expose());
        if !gone.is_empty() || added.len() != 1 {
            return Some(format!("{name}: {gone:?} became {added:?}"));
        }
        let kept = comments(&plain(edited.expose())) == comments(&before);
        (!kept).then(|| format!("{name}: comments changed"))
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(problems.is_empty(), "{} of {}:\n{}", problems.len(), files.len(), problems.join("\n"));
}

#[test]
fn rotating_gives_every_value_a_new_sealed_text_that_both_programs_open() {
    let files = sealed_corpus();
    let problems: Vec<String> = in_parallel(&files, |(name, sealed)| {
        let mut file = open(sealed).unwrap();
        let new_key = DataKey::generate().unwrap();
        keyring().wrap(&mut file.metadata_mut().key_groups, 0, &new_key).unwrap();
        let rotated = file.rotate(&new_key, STYLE).unwrap();
        let old: Vec<&[u8]> =
            sealed.split(|&b| b == b'\n').filter(|line| line.windows(4).any(|w| w == b"ENC[")).collect();
        if old.iter().any(|line| rotated.expose().windows(line.len()).any(|window| window == *line)) {
            return Some(format!("{name}: a value was not rotated"));
        }
        if plain(rotated.expose()) != plain(sealed) {
            return Some(format!("{name}: opens to another text"));
        }
        let theirs = sops(["decrypt", "--input-type", "yaml", "--output-type", "yaml"], rotated.expose());
        let before = sops(["decrypt", "--input-type", "yaml", "--output-type", "yaml"], sealed);
        (theirs.stdout != before.stdout && !before.stdout.windows(16).any(|w| w == b"ENC[AES256_GCM,d"))
            .then(|| format!("{name}: sops: {}", String::from_utf8_lossy(&theirs.stderr)))
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(problems.is_empty(), "{} of {}:\n{}", problems.len(), files.len(), problems.join("\n"));
}
