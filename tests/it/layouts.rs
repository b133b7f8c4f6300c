//! Layouts that nobody should write but somebody does: nothing is lost, nothing stays in clear.

use orlop::{DataKey, FileError, SecretText, SelectionRule, Tree, TreePath};

use crate::support::{STYLE, keyring, open, seal};

fn sealed(text: &str) -> Vec<u8> {
    seal(text.as_bytes(), SelectionRule::default(), false).unwrap().expose().to_vec()
}

fn sealed_below(text: &str, pattern: &str) -> Vec<u8> {
    let rule = SelectionRule::EncryptedRegex(pattern.to_owned());
    seal(text.as_bytes(), rule, false).unwrap().expose().to_vec()
}

fn plain(sealed: &[u8]) -> String {
    String::from_utf8(open(sealed).unwrap().plain_text().unwrap().expose().to_vec()).unwrap()
}

fn key_of(sealed: &[u8]) -> DataKey {
    let file = open(sealed).unwrap();
    keyring().unlock(&file.metadata().key_groups, file.metadata().shamir_threshold).unwrap()
}

fn edited(sealed: &[u8], text: &str) -> Vec<u8> {
    let text = SecretText::copy_of(text.as_bytes());
    open(sealed).unwrap().edited(&key_of(sealed), text, STYLE).unwrap().unwrap().expose().to_vec()
}

fn set(sealed: &[u8], path: &str, value: &Tree) -> Result<Vec<u8>, FileError> {
    let path = TreePath::parse(path).unwrap();
    let changed = open(sealed).unwrap().set(&key_of(sealed), &path, value, STYLE)?;
    Ok(changed.unwrap().expose().to_vec())
}

#[test]
fn an_edit_that_moves_a_value_into_brackets_or_out_gives_a_file_that_opens() {
    for (before, after) in [
        ("a: 1\nb: x\n", "a: [1]\nb: x\n"),
        ("a: 1\nb: x\n", "{a: 1, b: x}\n"),
        ("a: [1, x]\n", "a:\n  - 1\n  - x\n"),
        ("a:\n  b: |\n    one\n    two\n", "a:\n        b: |\n          one\n          two\n"),
    ] {
        assert_eq!(plain(&edited(&sealed(before), after)), after);
    }
}

#[test]
fn an_edit_that_spells_a_number_in_another_way_leaves_nothing_of_the_old_spelling() {
    for (before, after) in [("1.5", "1.50"), ("1.0", "1.00"), ("0", "00")] {
        let file = edited(&sealed(&format!("a: {before}\n")), &format!("a: {after}\nb: 1\n"));
        let line = String::from_utf8_lossy(&file).lines().next().unwrap().to_owned();
        assert!(line.starts_with("a: ENC[") && line.ends_with(']'), "{line}");
        open(&file).unwrap();
    }
}

#[test]
fn an_edit_keeps_comments_of_number_signs_alone() {
    let file = sealed("l:\n  - a\n  ####\n  - b # in line\n");
    let after = "l:\n  - a\n  ####\n  - c # in line\n  - d\n";
    assert_eq!(plain(&edited(&file, after)), after);
}

#[test]
fn a_block_does_not_swallow_what_follows_it() {
    let text = "a:\n  - one|\n\n    - c\n      # deeper\n    # as deep\nz: 1\n";
    let came_back = plain(&sealed(text));
    let expected = "a:\n  - \"one|\\n- c\"\n      # deeper\n    # as deep\nz: 1\n";
    assert_eq!(came_back, expected);
    let keep = sealed("k: |\n  one\n\nz: 1\n");
    let changed = set(&keep, r#"["k"]"#, &Tree::text("two\n\n")).unwrap();
    assert_eq!(plain(&changed), "k: \"two\\n\\n\"\n\nz: 1\n");
    let aliased = plain(&sealed("a: &x |+\n  one\n\nb: *x\n\nz: 1\n"));
    assert!(aliased.ends_with("b: \"one\\n\\n\"\n\nz: 1\n"), "{aliased}");
}

#[test]
fn a_block_at_the_end_without_a_last_line_break_keeps_its_own() {
    let came_back = plain(&sealed("l:\n  - |+\n    one\n    "));
    assert_eq!(came_back, "l:\n  - \"one\\n\"");
    assert!(seal(b"a: >+\n  ", SelectionRule::default(), false).is_err(), "empty until something follows");
}

#[test]
fn a_block_that_becomes_one_line_keeps_the_comment_behind_its_header() {
    assert_eq!(plain(&sealed("a: | # why\n  text\n  ")), "a: \"text\\n\" # why\n  ");
    let file = sealed("a: | # why\n  text\n  more\nb: 1\n");
    assert_eq!(plain(&set(&file, r#"["a"]"#, &Tree::text("x")).unwrap()), "a: x # why\nb: 1\n");
    let changed = set(&file, r#"["a"]"#, &Tree::text("x\ny")).unwrap();
    assert_eq!(plain(&changed), "a: |- # why\n  x\n  y\nb: 1\n");
    assert_eq!(plain(&sealed("b: \n|\n  trailing blank \nc: 1\n")), "b: \n|\n  trailing blank \nc: 1\n");
}

#[test]
fn blank_lines_below_the_metadata_are_not_part_of_the_last_value() {
    let mut file = sealed_below("a: 1\nb: |+\n  one\n\n", "^a$");
    file.extend(b"\n\n");
    assert_eq!(plain(&file), "a: 1\nb: |+\n  one\n\n");
}

#[test]
fn a_comment_directly_behind_quotes_stays_a_comment() {
    assert_eq!(plain(&sealed("d: !!bool \"true\"#why\n")), "d: TRUE #why\n");
}

#[test]
fn a_comment_between_tag_and_value_stays() {
    for text in ["b: !!binary # why\n  |\n  aGVsbG8g\nc: 1\n", "b: !!int # why\n  42\nc: 1\n"] {
        let came_back = plain(&sealed(text));
        assert!(came_back.contains("# why") && came_back.ends_with("c: 1\n"), "{came_back}");
    }
}

#[test]
fn an_edit_that_adds_a_tag_or_a_comment_directly_behind_gives_a_file_that_opens() {
    let file = sealed("a: 1\nb: \"x\"\nc: 'y'\nd: y\n");
    let file = edited(&file, "a: !!int 1\nb: \"x\"\nc: 'y'\nd: 'y'# secret\n");
    assert!(!String::from_utf8_lossy(&file).contains("secret"));
    let text = plain(&file);
    assert!(text.starts_with("a: 1\n") && text.contains("# secret"), "{text}");
}

#[test]
fn a_comment_in_the_metadata_is_no_comment_of_the_values() {
    let file = String::from_utf8(sealed("a: 1\n")).unwrap().replace("sops:\n", "sops: # hands off\n");
    let file = file.as_bytes();
    assert_eq!(plain(file), "a: 1\n");
    assert_eq!(plain(&set(file, r#"["a"]"#, &Tree::text("x")).unwrap()), "a: x\n");
    let rotated = open(file).unwrap().rotate(&key_of(file), STYLE).unwrap();
    assert_eq!(plain(rotated.expose()), "a: 1\n");
}

#[test]
fn mixed_line_ends_do_not_eat_each_other() {
    let text = "a: |+\r  one\n  two\n\nb: end\n";
    let value = |text: &str| crate::support::values(text.as_bytes());
    assert_eq!(value(&plain(&sealed(text))), value(text));
}

#[test]
fn an_anchor_directly_before_a_value_stays_one() {
    assert_eq!(plain(&sealed("a: &t?x\nb: 1\n")), "a: &t ?x\nb: 1\n");
}

#[test]
fn null_with_a_comment_behind_it_is_a_document_too() {
    let file = sealed("null # why\n");
    assert!(!String::from_utf8_lossy(&file).contains("why"));
    assert!(plain(&file).contains("# why"));
    assert!(plain(&sealed("# why\nnull\n")).ends_with("{}\n"));
}

#[test]
fn a_new_value_never_becomes_part_of_a_key() {
    let file = sealed("? no value\nd: 2\n");
    let result = set(&file, r#"["no value"]"#, &Tree::text("secret"));
    if let Ok(changed) = result {
        assert!(!String::from_utf8_lossy(&changed).contains("secret"));
        assert!(plain(&changed).contains("secret"));
    }
}

#[test]
fn lines_may_end_in_any_of_the_breaks_that_yaml_knows() {
    for newline in ["\r", "\r\n", "\u{85}", "\u{2028}"] {
        let text = format!("a: one{newline}b:{newline}  c: two{newline}d: 1{newline}");
        let file = sealed(&text);
        assert_eq!(plain(&file), text);
        for path in [r#"["a"]"#, r#"["b"]["c"]"#, r#"["b"]"#, r#"["new"]"#, r#"["b"]["new"]"#, r#"["a"][0]"#]
        {
            if let Ok(changed) = set(&file, path, &Tree::text("three")) {
                let text = plain(&changed);
                assert!(text.contains("three") && text.contains("d: 1"), "{path} {text:?}");
            }
        }
        let path = TreePath::parse(r#"["b"]"#).unwrap();
        let without = open(&file).unwrap().unset(&key_of(&file), &path, STYLE).unwrap().unwrap();
        assert_eq!(plain(without.expose()), format!("a: one{newline}d: 1{newline}"));
    }
}

#[test]
fn a_comment_in_clear_that_should_be_sealed_is_sealed_by_the_next_change() {
    let file = sealed_below("a: &x 1 # about a\nb: 2 # about b\n", "^a$");
    let changed = set(&file, r#"["a"][0]"#, &Tree::text("v")).unwrap();
    let text = String::from_utf8_lossy(&changed);
    assert!(!text.contains("about a") && text.contains("about b"), "{text}");
    assert!(plain(&changed).contains("# about a"));

    let mut by_hand = b"# added by hand\n".to_vec();
    by_hand.extend(sealed("a: 1\nb: 2\n"));
    let changed = set(&by_hand, r#"["a"]"#, &Tree::text("v")).unwrap();
    assert!(!String::from_utf8_lossy(&changed).contains("by hand"));
    let rotated = open(&by_hand).unwrap().rotate(&key_of(&by_hand), STYLE).unwrap();
    assert!(!String::from_utf8_lossy(rotated.expose()).contains("by hand"));
    assert!(plain(rotated.expose()).starts_with("# added by hand\n"));
}

#[test]
fn the_last_element_of_a_list_below_its_key_can_be_removed() {
    let file = sealed("b:\n- 1\nc: 2\n");
    let path = TreePath::parse(r#"["b"][0]"#).unwrap();
    let without = open(&file).unwrap().unset(&key_of(&file), &path, STYLE).unwrap().unwrap();
    assert_eq!(plain(without.expose()), "b:\n []\nc: 2\n");
}

#[test]
fn a_sealed_value_written_with_escapes_can_be_opened_and_rotated() {
    let file = sealed("a: \"x\"\nb: 2\n");
    let text = String::from_utf8(file).unwrap().replacen("\"ENC[", "\"\\x45NC\\x5B", 1);
    assert_eq!(plain(text.as_bytes()), "a: \"x\"\nb: 2\n");
    let rotated = open(text.as_bytes()).unwrap().rotate(&key_of(text.as_bytes()), STYLE).unwrap();
    assert_eq!(plain(rotated.expose()), "a: \"x\"\nb: 2\n");
    assert_eq!(plain(&edited(text.as_bytes(), "b: 2\na: x\n")), "b: 2\na: x\n");
}
