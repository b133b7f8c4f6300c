//! The audit log in a real PostgreSQL: orlop writes the rows that sops writes, or does nothing at all.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::cli::{CANARY, Desk, SAMPLE};
use crate::support::peers;

/// What sops documents for its database, and what it needs and nothing else.
const SCHEMA: &str = "
    CREATE TABLE audit_event (
        id serial PRIMARY KEY, timestamp timestamp DEFAULT current_timestamp, action text, username text, file text
    );
    CREATE ROLE sops LOGIN PASSWORD 'canary-password';
    GRANT INSERT ON audit_event TO sops;
    GRANT USAGE ON SEQUENCE audit_event_id_seq TO sops;
    CREATE ROLE nobody LOGIN PASSWORD 'canary-password';
";

/// A PostgreSQL server of its own, with TLS, that runs until it is dropped.
struct Postgres {
    folder: TempDir,
    child: Child,
    port: u16,
}

/// Who runs the server: PostgreSQL refuses to run as root.
const UNPRIVILEGED: u32 = 65_534;

fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("postgresql is installed: tests/peers/install");
    let mut found: Vec<PathBuf> = versions
        .map(|version| version.unwrap().path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().expect("postgresql is installed: tests/peers/install")
}

fn unprivileged(name: &str) -> Command {
    let program = program(name);
    if !rustix::process::getuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let id = UNPRIVILEGED.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(program);
    command
}

#[track_caller]
fn succeeded(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

impl Postgres {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let script = "
            set -e
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority \
                -keyout ca.key -out ca.pem
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=server \
                -keyout server.key -out server.csr
            printf 'subjectAltName=DNS:localhost\\nbasicConstraints=CA:FALSE\\n' > extensions
            openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions \
                -out server.pem
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=stranger \
                -keyout stranger.key -out stranger.pem
        ";
        succeeded(Command::new("sh").args(["-c", script]).current_dir(root));
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(root.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
        if rustix::process::getuid().is_root() {
            for path in [root.to_owned(), root.join("server.key"), root.join("server.pem")] {
                chown(path, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
            }
        }
        let data = root.join("data");
        succeeded(
            unprivileged("initdb")
                .args(["--username=admin", "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync"])
                .args(["--encoding=UTF8", "--locale=C"])
                .arg("--pgdata")
                .arg(&data)
                .current_dir(root),
        );
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let setting = |name: &str, value: &Path| format!("{name}={}", value.display());
        let child = unprivileged("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-c", "ssl=on", "-c", "fsync=off"])
            .args(["-c", &setting("unix_socket_directories", root)])
            .args(["-c", &setting("ssl_cert_file", &root.join("server.pem"))])
            .args(["-c", &setting("ssl_key_file", &root.join("server.key"))])
            .current_dir(root)
            .stdout(Stdio::null())
            .stderr(fs::File::create(root.join("log")).unwrap())
            .spawn()
            .unwrap();
        let server = Self { folder, child, port };
        let began = Instant::now();
        while server.psql("SELECT 1").is_none() {
            assert!(began.elapsed() < Duration::from_secs(60), "{}", server.text("log"));
            std::thread::sleep(Duration::from_millis(100));
        }
        server.psql(SCHEMA).expect("the schema is taken");
        server
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// What a query of the administrator gives.
    fn psql(&self, query: &str) -> Option<String> {
        let output = Command::new(program("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "admin", "-d", "postgres"])
            .arg("-h")
            .arg(self.folder.path())
            .args(["-p", &self.port.to_string(), "-c", query])
            .output()
            .unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    /// The rows, and none afterwards.
    fn take_rows(&self) -> Vec<String> {
        let rows = self.psql("SELECT action, username, file FROM audit_event ORDER BY id").unwrap();
        self.psql("TRUNCATE audit_event").unwrap();
        rows.lines().map(str::to_owned).collect()
    }

    fn url(&self, settings: &str) -> String {
        format!("postgres://sops:canary-password@127.0.0.1:{}/postgres{settings}", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Fast shutdown; its own children end with it.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::INT,
        );
        let _ = self.child.wait();
    }
}

/// A desk on a machine whose audit log is set up.
struct Machine {
    desk: Desk,
}

impl Machine {
    fn new() -> Self {
        let desk = Desk::new();
        fs::create_dir_all(desk.path("etc/sops")).unwrap();
        for name in ["passwd", "group", "hosts", "nsswitch.conf"] {
            if let Ok(text) = fs::read(Path::new("/etc").join(name)) {
                fs::write(desk.path("etc").join(name), text).unwrap();
            }
        }
        Self { desk }
    }

    fn audit_by(&self, connection_strings: &[&str]) {
        let mut text = "backends:\n  postgres:\n".to_owned();
        for string in connection_strings {
            text.push_str(&format!("    - connection_string: \"{string}\"\n"));
        }
        self.desk.file("etc/sops/audit.yaml", &text);
    }

    /// Runs a program in `folder` where `/etc` is that of this machine.
    fn run(&self, program: &Path, folder: &str, words: &[&str], input: &str) -> Output {
        use std::io::Write as _;

        let model = self.desk.orlop([]);
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
            .args([r#"mount --bind "$ETC" /etc && unset ETC && exec "$@""#, "sh"])
            .arg(program)
            .args(words)
            .current_dir(self.desk.path(folder))
            .env_clear()
            .envs(model.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))))
            .env("SOPS_EDITOR", self.desk.path("editor"))
            .env("EDITOR", self.desk.path("editor"))
            .env("ETC", self.desk.path("etc"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }
}

fn programs() -> [(&'static str, PathBuf); 2] {
    let sops = peers().join("sops");
    assert!(sops.exists(), "{} is missing: run tests/peers/install", sops.display());
    [("theirs", sops), ("ours", env!("CARGO_BIN_EXE_orlop").into())]
}

/// Command lines, with what is on stdin behind `<`.
const LINES: &[&str] = &[
    "encrypt -i f.yaml",
    "decrypt f.yaml",
    r#"decrypt --extract ["port"] f.yaml"#,
    "-d f.yaml",
    r#"set f.yaml ["port"] 9090"#,
    r#"set --idempotent f.yaml ["port"] 9090"#,
    r#"unset f.yaml ["port"]"#,
    "rotate -i f.yaml",
    "updatekeys -y f.yaml",
    "edit f.yaml",
    "edit new.yaml",
    "filestatus f.yaml",
    "--enable-local-keyservice=false decrypt f.yaml",
    "decrypt --enable-local-keyservice=false f.yaml",
    "rotate --enable-local-keyservice=false f.yaml",
    "decrypt plain.yaml",
    "decrypt missing.yaml",
    "decrypt damaged.yaml",
    "encrypt --filename-override x.yaml <a: 1",
    "decrypt sub/../f.yaml",
];

#[test]
fn the_rows_are_those_of_sops() {
    let server = Postgres::start();
    let machine = Machine::new();
    machine.audit_by(&[&server.url("?sslmode=disable")]);
    let desk = &machine.desk;
    let damaged = desk.sealed("damaged.yaml", SAMPLE).replace("nested:", "nasty:");
    desk.file("editor", "#!/bin/sh\necho 'more: canary-more' >> \"$1\"\n");
    fs::set_permissions(desk.path("editor"), fs::Permissions::from_mode(0o755)).unwrap();
    for (folder, _) in programs() {
        fs::create_dir_all(desk.path(folder).join("sub")).unwrap();
        desk.file(&format!("{folder}/f.yaml"), SAMPLE);
        desk.file(&format!("{folder}/plain.yaml"), SAMPLE);
        desk.file(&format!("{folder}/damaged.yaml"), &damaged);
    }
    let mut all = 0;
    for line in LINES {
        let (line, input) = line.split_once(" <").unwrap_or((line, ""));
        let words: Vec<&str> = line.split(' ').collect();
        let [theirs, ours] = programs().map(|(folder, program)| {
            let output = machine.run(&program, folder, &words, input);
            let base = fs::canonicalize(desk.path(folder)).unwrap();
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!message.contains("panic"), "{message}");
            let rows = server.take_rows().into_iter();
            let rows: Vec<String> = rows.map(|row| row.replace(base.to_str().unwrap(), "FOLDER")).collect();
            (rows, output.status.code(), message)
        });
        assert_eq!(ours.0, theirs.0, "{line}: orlop said {:?}", ours.2);
        assert_eq!(ours.1, theirs.1, "{line}: orlop said {:?}, sops {:?}", ours.2, theirs.2);
        all += ours.0.len();
    }
    assert!(all > 15, "{all} rows");
}

#[test]
fn each_database_hears_of_every_file_that_helm_reads() {
    let server = Postgres::start();
    let machine = Machine::new();
    let socket =
        format!("host={} port={} user=sops dbname=postgres", server.folder.path().display(), server.port);
    machine.audit_by(&[&server.url(""), &socket]);
    let desk = &machine.desk;
    let (one, two) = (desk.sealed("one.yaml", "a: canary-1\n"), desk.sealed("two.yaml", "b: canary-2\n"));
    for folder in ["chart", "chart/templates", "ours"] {
        fs::create_dir(desk.path(folder)).unwrap();
    }
    desk.file("chart/Chart.yaml", "apiVersion: v2\nname: chart\nversion: 1.0.0\n");
    desk.file("chart/templates/t.yaml", "x: {{ .Values.a }}\n");
    desk.file("ours/one.yaml", &one);
    desk.file("ours/two.yaml", &two);
    desk.file("ours/plain.yaml", "c: 3\n");
    let helm = peers().join("helm3");
    fs::create_dir(desk.path("bin")).unwrap();
    std::os::unix::fs::symlink(&helm, desk.path("bin/helm")).unwrap();
    let words = ["helm", "template", "../chart", "-f", "one.yaml", "-f", "plain.yaml", "-f", "two.yaml"];
    let env = desk.path("env");
    let path = format!("#!/bin/sh\nPATH={}:$PATH exec \"$@\"\n", desk.path("bin").display());
    fs::write(&env, path).unwrap();
    fs::set_permissions(&env, fs::Permissions::from_mode(0o755)).unwrap();
    let mut all = vec![env!("CARGO_BIN_EXE_orlop")];
    all.extend(words);
    let output = machine.run(&env, "ours", &all, "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("canary-1"));
    let base = fs::canonicalize(desk.path("ours")).unwrap();
    let row = |name: &str| format!("decrypt|root|{}", base.join(name).display());
    let mut rows = server.take_rows();
    rows.sort();
    assert_eq!(rows, [row("one.yaml"), row("one.yaml"), row("two.yaml"), row("two.yaml")]);

    machine.audit_by(&["postgres://127.0.0.1:1/postgres?sslmode=disable"]);
    let output = machine.run(&env, "ours", &all, "");
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
}

#[test]
fn nothing_is_done_that_cannot_be_written_down() {
    let server = Postgres::start();
    let machine = Machine::new();
    let desk = &machine.desk;
    let sealed = desk.sealed("f.yaml", SAMPLE);
    fs::create_dir_all(desk.path("theirs")).unwrap();
    fs::create_dir_all(desk.path("ours")).unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (port, plain) = (server.port, "sslmode=disable dbname=postgres host=127.0.0.1");
    for (string, reason) in [
        (format!("postgres://sops:canary@{closed}/x?sslmode=disable"), "connection refused"),
        (format!("{plain} port={port} user=sops password=canary"), "password authentication failed"),
        (format!("{plain} port={port} user=nobody password=canary-password"), "permission denied"),
        (format!("postgres://sops:canary@127.0.0.1:{port}/x?sslmode=canary"), "sslmode"),
        ("canary".to_owned(), "connection string"),
    ] {
        machine.audit_by(&[&string]);
        for (folder, program) in programs() {
            for words in [
                &["decrypt", "f.yaml"][..],
                &["encrypt", "-i", "plain.yaml"],
                &["set", "f.yaml", r#"["port"]"#, "1"],
                &["rotate", "-i", "f.yaml"],
            ] {
                desk.file(&format!("{folder}/f.yaml"), &sealed);
                desk.file(&format!("{folder}/plain.yaml"), SAMPLE);
                let output = machine.run(&program, folder, words, "");
                let message = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(1), "{folder} {string} {words:?}: {message}");
                assert!(output.stdout.is_empty(), "{folder} {string} {words:?}");
                assert_eq!(desk.text(&format!("{folder}/f.yaml")), sealed, "{folder} {string} {words:?}");
                assert_eq!(desk.text(&format!("{folder}/plain.yaml")), SAMPLE, "{folder} {string} {words:?}");
                if folder == "ours" {
                    assert!(message.contains(reason), "{string}: {message}");
                    assert!(!message.contains(CANARY), "{message}");
                }
            }
        }
    }
    for text in ["backends: canary\n", "backends: {canary\n"] {
        desk.file("etc/sops/audit.yaml", text);
        for (folder, program) in programs() {
            desk.file(&format!("{folder}/f.yaml"), &sealed);
            let output = machine.run(&program, folder, &["decrypt", "f.yaml"], "");
            let message = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{folder}: {message}");
            assert!(output.stdout.is_empty());
            assert!(folder == "theirs" || !message.contains(CANARY), "{message}");
        }
    }
    // A log that is set up but may not be read is not the same as none.
    fs::remove_file(desk.path("etc/sops/audit.yaml")).unwrap();
    fs::create_dir(desk.path("etc/sops/audit.yaml")).unwrap();
    let (folder, orlop) = &programs()[1];
    let output = machine.run(orlop, folder, &["decrypt", "f.yaml"], "");
    assert_eq!(output.status.code(), Some(2));
    fs::remove_dir(desk.path("etc/sops/audit.yaml")).unwrap();
    assert!(machine.run(orlop, folder, &["decrypt", "f.yaml"], "").status.success());
}

#[test]
fn the_server_is_trusted_as_the_connection_string_says() {
    let server = Postgres::start();
    let machine = Machine::new();
    let desk = &machine.desk;
    let sealed = desk.sealed("f.yaml", SAMPLE);
    for (folder, _) in programs() {
        fs::create_dir_all(desk.path(folder)).unwrap();
        desk.file(&format!("{folder}/f.yaml"), &sealed);
    }
    let file = |name: &str| server.folder.path().join(name).display().to_string();
    let (authority, stranger) = (file("ca.pem"), file("stranger.pem"));
    for (host, settings, is_fine) in [
        ("127.0.0.1", String::new(), true),
        ("127.0.0.1", "sslmode=require".into(), true),
        ("127.0.0.1", format!("sslmode=require sslrootcert={stranger}"), false),
        ("127.0.0.1", format!("sslmode=verify-ca sslrootcert={authority}"), true),
        ("127.0.0.1", format!("sslmode=verify-ca sslrootcert={stranger}"), false),
        ("127.0.0.1", "sslmode=verify-ca".into(), false),
        ("127.0.0.1", format!("sslmode=verify-full sslrootcert={authority}"), false),
        ("localhost", format!("sslmode=verify-full sslrootcert={authority}"), true),
        ("localhost", format!("sslmode=verify-full sslrootcert={stranger}"), false),
        ("localhost", "sslmode=verify-full sslrootcert=/missing".into(), false),
    ] {
        let string = format!(
            "host={host} port={} dbname=postgres user=sops password='canary-password' {settings}",
            server.port
        );
        machine.audit_by(&[&string]);
        for (folder, program) in programs() {
            let output = machine.run(&program, folder, &["decrypt", "f.yaml"], "");
            let message = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.success(), is_fine, "{folder} {host} {settings}: {message}");
            assert_eq!(server.take_rows().len(), usize::from(is_fine), "{folder} {host} {settings}");
            assert!(folder == "theirs" || !message.contains(CANARY), "{message}");
        }
    }
}
