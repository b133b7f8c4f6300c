//! The manual is complete, and the code is built as its layers say.

use std::fs;
use std::path::Path;

use crate::support::testdata;

fn source(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn every_file_that_comes_back_changed_is_listed_in_the_manual() {
    let manual = source("src/manual/format.md");
    for entry in fs::read_dir(testdata("corpus/opened")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().replace(".yaml", "");
        let name = if name == "json-in" { "json-in-yaml".to_owned() } else { name };
        assert!(manual.contains(&format!("`{name}`")), "{name} is not in the manual");
    }
    let listed = manual.split('`').filter(|word| {
        [
            "anchors-", "block-", "bytes-", "comment-", "document", "helm-", "json-", "scalar-", "tags-",
            "unicode-",
        ]
        .iter()
        .any(|start| word.starts_with(start))
    });
    for name in listed {
        assert!(testdata(&format!("corpus/opened/{name}.yaml")).exists(), "{name} does come back as it was");
    }
}

/// What each module of the library may use, besides what stands below it in this list.
const LAYERS: &[(&str, &[&str])] = &[
    ("secret", &[]),
    ("span", &[]),
    ("env", &[]),
    ("timestamp", &[]),
    ("go_regex", &[]),
    ("key_path", &[]),
    ("value", &["secret"]),
    ("cipher", &["secret", "value", "key_path", "timestamp"]),
    ("mac", &["secret", "value", "key_path", "cipher"]),
    ("selection", &["key_path", "go_regex"]),
    ("shamir", &["secret"]),
    ("document", &["secret", "span", "key_path", "value", "selection"]),
    ("store", &["secret", "span", "key_path", "value", "document", "cipher", "timestamp"]),
    ("prompts", &["secret"]),
    ("provider", &["secret", "env", "value", "prompts"]),
    ("net", &[]),
    ("audit", &["secret", "env", "net"]),
    ("keyring", &["audit", "secret", "provider", "shamir", "env", "timestamp"]),
    ("publish", &["secret", "env", "net"]),
    ("keyservice", &["secret", "provider", "keyring", "net"]),
    ("metadata", &["secret", "key_path", "value", "provider", "selection", "timestamp"]),
    ("config", &["provider", "selection", "go_regex"]),
    (
        "file",
        &[
            "secret",
            "span",
            "key_path",
            "value",
            "cipher",
            "mac",
            "selection",
            "document",
            "store",
            "provider",
            "metadata",
        ],
    ),
    (
        "explain",
        &["config", "document", "file", "key_path", "metadata", "provider", "secret", "selection", "store"],
    ),
    (
        "simple",
        &[
            "audit",
            "file",
            "keyring",
            "config",
            "secret",
            "span",
            "key_path",
            "value",
            "document",
            "store",
            "provider",
            "metadata",
            "selection",
            "cipher",
            "env",
        ],
    ),
    ("manual", &[]),
];

/// The library's own sources; `oracle.rs` is a test.
fn rust_files(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            if !entry.ends_with("bin") {
                rust_files(&entry, files);
            }
        } else if entry.extension().is_some_and(|ending| ending == "rs") && !entry.ends_with("oracle.rs") {
            files.push(entry);
        }
    }
}

#[test]
fn modules_use_only_what_stands_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    let mut upwards = Vec::new();
    for file in files {
        let module = file.strip_prefix(&root).unwrap().components().next().unwrap();
        let module = module.as_os_str().to_string_lossy().replace(".rs", "");
        if module == "lib" {
            continue;
        }
        let (_, allowed) =
            LAYERS.iter().find(|(name, _)| *name == module).expect("every module has its layer");
        let text = fs::read_to_string(&file).unwrap();
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        let text: String = text.split("#[cfg(test)]").next().unwrap().lines().filter(is_code).collect();
        for used in text.split("crate::").skip(1) {
            let used: String = used.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            let is_fine = used.is_empty() || used == module || allowed.contains(&used.as_str());
            if !is_fine {
                upwards.push(format!("{} uses {used}", file.display()));
            }
        }
    }
    assert!(upwards.is_empty(), "{}", upwards.join("\n"));
}

#[test]
fn only_one_module_wipes_and_the_library_does_not_touch_the_environment() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        let code: String = text.lines().filter(is_code).collect();
        assert!(file.ends_with("secret.rs") || !code.contains("zeroize"), "{} names zeroize", file.display());
        assert!(
            !code.contains("env::var") && !code.contains("env::vars"),
            "{} reads the environment",
            file.display()
        );
    }
}
