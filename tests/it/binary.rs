//! Binary files: opened, changed, converted.

use orlop::store::{Format, Style};
use orlop::{DataKey, OpenFile, SecretText, SelectionRule, Tree, TreePath};

use crate::cli::Desk;
use crate::support::{STYLE, corpus_of, in_parallel, keyring, open_in, recipient, seal_in, sops};

fn seal(bytes: &[u8]) -> Vec<u8> {
    seal_in(Format::Binary, bytes, SelectionRule::All, false).unwrap().expose().to_vec()
}

fn with_key<R>(sealed: &[u8], work: impl FnOnce(OpenFile, &DataKey) -> R) -> R {
    let file = open_in(Format::Binary, sealed).unwrap();
    let key = keyring().unlock(&file.metadata().key_groups, file.metadata().shamir_threshold).unwrap();
    work(file, &key)
}

fn plain(sealed: &[u8]) -> Vec<u8> {
    open_in(Format::Binary, sealed).unwrap().take_plain_text().unwrap().expose().to_vec()
}

#[test]
fn an_edit_gives_the_new_bytes_and_no_edit_gives_nothing() {
    let corpus = corpus_of(Format::Binary);
    let problems: Vec<Option<String>> = in_parallel(&corpus, |(name, bytes)| {
        let sealed = seal(bytes);
        let edit = |text: &[u8]| {
            with_key(&sealed, |file, key| file.edited(key, SecretText::copy_of(text), STYLE)).unwrap()
        };
        if edit(bytes).is_some() {
            return Some(format!("{name}: something changed"));
        }
        for after in [&b"\xFFother\0"[..], b"", &[bytes, &b"more"[..]].concat()] {
            if after == bytes {
                continue;
            }
            let edited = edit(after).unwrap();
            let theirs =
                sops(["decrypt", "--input-type", "binary", "--output-type", "binary"], edited.expose());
            if plain(edited.expose()) != after || theirs.stdout != after || !theirs.status.success() {
                return Some(format!(
                    "{name}: edited to {:?}",
                    String::from_utf8_lossy(&plain(edited.expose()))
                ));
            }
        }
        None
    });
    let problems: Vec<String> = problems.into_iter().flatten().collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn rotation_set_and_unset_work_on_the_envelope() {
    let sealed = seal(b"hello\xFF");
    let new = DataKey::generate().unwrap();
    let rotated = with_key(&sealed, |mut file, _| {
        keyring().wrap(&mut file.metadata_mut().key_groups, 0, &new).unwrap();
        file.rotate(&new, STYLE).unwrap()
    });
    assert_eq!(plain(rotated.expose()), b"hello\xFF");
    let path = TreePath::parse(r#"["data"]"#).unwrap();
    let changed =
        with_key(&sealed, |file, key| file.set(key, &path, &Tree::text("other"), STYLE)).unwrap().unwrap();
    assert_eq!(plain(changed.expose()), b"other");
    let theirs = sops(["decrypt", "--input-type", "binary", "--output-type", "binary"], changed.expose());
    assert_eq!(theirs.stdout, b"other");
    let without = with_key(&sealed, |file, key| file.unset(key, &path, STYLE)).unwrap().unwrap();
    let error = open_in(Format::Binary, without.expose()).unwrap().plain_text().err().unwrap().to_string();
    assert!(error.contains("no binary data found in tree"), "{error}");
}

#[test]
fn conversions_give_what_sops_gives_unless_that_loses_bytes() {
    let style = Style { indent: 4, tabs: false };
    for (bytes, loses) in
        [(&b"hello <&>\n"[..], false), ("é\t\n".as_bytes(), false), (b"", false), (b"\xFF\0", true)]
    {
        let sealed = seal(bytes);
        let theirs = sops(["decrypt", "--input-type", "binary", "--output-type", "json"], &sealed);
        let json = Format::Json.store();
        let ours = open_in(Format::Binary, &sealed).unwrap().reprinted(json, Style { indent: 0, tabs: true });
        match loses {
            true => assert!(ours.err().unwrap().to_string().contains("not UTF-8")),
            false => assert_eq!(ours.unwrap().expose(), theirs.stdout),
        }
        let theirs = sops(["decrypt", "--input-type", "binary", "--output-type", "yaml"], &sealed);
        let ours = open_in(Format::Binary, &sealed).unwrap().reprinted(Format::Yaml.store(), style);
        assert_eq!(String::from_utf8_lossy(ours.unwrap().expose()), String::from_utf8_lossy(&theirs.stdout));
    }
}

#[test]
fn the_envelope_is_laid_out_as_sops_lays_it_out() {
    let shape = |sealed: &[u8]| -> String {
        let text = String::from_utf8_lossy(sealed).into_owned();
        let pieces = text.split('"').enumerate();
        pieces
            .map(|(at, piece)| if at % 2 == 0 || piece.len() < 20 { piece } else { "…" })
            .collect::<Vec<_>>()
            .join("\"")
    };
    let desk = Desk::new();
    desk.file("f.bin", "hello\n");
    for indent in ["-1", "0", "2"] {
        let ours = desk.run(["--indent", indent, "encrypt", "--age", &recipient(), "f.bin"]).ok();
        let file = desk.path("f.bin");
        let theirs =
            sops(["--indent", indent, "encrypt", "--age", &recipient(), file.to_str().unwrap()], b"");
        assert_eq!(shape(ours.as_bytes()), shape(&theirs.stdout));
    }
}

#[test]
fn a_file_of_a_hundred_thousand_bytes_goes_both_ways_and_through_a_pipe() {
    let bytes: Vec<u8> = (0..300_001u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let sealed = seal(&bytes);
    let theirs = sops(["decrypt", "--input-type", "binary", "--output-type", "binary"], &sealed);
    assert!(theirs.stdout == bytes && plain(&sealed) == bytes);
    let mut changed = sealed.clone();
    let at = changed.windows(5).position(|window| window == b"data:").unwrap() + 100_000;
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    assert!(open_in(Format::Binary, &changed).is_err());
}

#[test]
fn every_command_works_on_a_binary_file() {
    let desk = Desk::new();
    desk.sealed("secret.bin", "canary \u{1}\n");
    assert_eq!(desk.plain("secret.bin"), "canary \u{1}\n");
    assert_eq!(desk.run(["decrypt", "--extract", "[\"data\"]", "secret.bin"]).ok(), "canary \u{1}\n");
    assert_eq!(
        desk.run(["decrypt", "--output-type", "json", "secret.bin"]).ok(),
        "{\n\t\"data\": \"canary \\u0001\\n\"\n}\n"
    );
    desk.run(["rotate", "-i", "secret.bin"]).ok();
    assert_eq!(desk.plain("secret.bin"), "canary \u{1}\n");
    desk.run(["edit", "secret.bin"]).fails(200);
    let run = desk.run(["encrypt", "--encrypted-regex", "x", "--filename-override", "x.bin", "secret.bin"]);
    assert!(run.stderr.contains("no meaning for a binary file"), "{}", run.stderr);
    run.ok();
    desk.file("plain.json", "{\"a\": 1}");
    desk.run(["encrypt", "--output-type", "binary", "plain.json"]).ok();
    desk.sealed("a.json", "{\"a\": \"canary\"}");
    let message = desk.run(["decrypt", "--output-type", "binary", "a.json"]).fails(4);
    assert!(message.contains("--output-type"), "{message}");
}
