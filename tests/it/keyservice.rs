//! Key services: orlop asks sops' and sops asks orlop's.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cli::{CANARY, Desk, SAMPLE};
use crate::support::peers;

/// A key service that runs until it is dropped.
struct Service {
    child: Child,
    uri: String,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    /// Ends it as a user would and returns its exit code.
    fn stop(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

fn sops_program(desk: &Desk) -> Command {
    let model = desk.orlop([]);
    let program = peers().join("sops");
    assert!(program.exists(), "{} is missing: run tests/peers/install", program.display());
    let mut command = Command::new(program);
    command
        .current_dir(desk.path("."))
        .env_clear()
        .envs(model.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))))
        .stdin(Stdio::null());
    command
}

/// Who serves and who asks.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Program {
    Orlop,
    Sops,
}

fn command(desk: &Desk, program: Program, words: &[&str]) -> Command {
    match program {
        Program::Orlop => desk.orlop(words.iter().copied()),
        Program::Sops => {
            let mut command = sops_program(desk);
            command.args(words);
            command
        }
    }
}

/// Starts a service of `program` on a unix socket or a port of its own, and waits until it listens.
fn serve(desk: &Desk, program: Program, network: &str, words: &[&str]) -> Service {
    let (address, uri) = match network {
        "unix" => {
            let path = desk.path("service.sock").to_string_lossy().into_owned();
            let uri = format!("unix://{path}");
            (path, uri)
        }
        _ => {
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            (format!("127.0.0.1:{port}"), format!("{network}://127.0.0.1:{port}"))
        }
    };
    let mut all = vec!["keyservice", "--network", network, "--address", &address];
    all.extend(words);
    let child = command(desk, program, &all)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let service = Service { child, uri };
    let began = Instant::now();
    let listens = || match network {
        "unix" => UnixStream::connect(&address).is_ok(),
        _ => std::net::TcpStream::connect(&address).is_ok(),
    };
    while !listens() {
        assert!(began.elapsed() < Duration::from_secs(20), "{program:?} does not listen on {address}");
        std::thread::sleep(Duration::from_millis(20));
    }
    service
}

/// Runs `program` without any key of its own, so that only the service can help.
fn ask(desk: &Desk, program: Program, service: &str, words: &[&str]) -> std::process::Output {
    let mut all = vec![words[0], "--enable-local-keyservice=false", "--keyservice", service];
    all.extend(&words[1..]);
    command(desk, program, &all).env_remove("SOPS_AGE_KEY_FILE").output().unwrap()
}

#[track_caller]
fn stdout_of(output: std::process::Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn message_of(output: std::process::Output, code: i32) -> String {
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert!(!message.contains(CANARY) && !message.contains("panicked"), "{message}");
    // sops breaks its lines and puts a bar before each.
    message.replace('|', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_command_works_through_a_key_service_of_either_program() {
    for network in ["unix", "tcp", "tcp4"] {
        for (server, client) in [
            (Program::Sops, Program::Orlop),
            (Program::Orlop, Program::Sops),
            (Program::Orlop, Program::Orlop),
        ] {
            let desk = Desk::new();
            let service = serve(&desk, server, network, &[]);
            let case = format!("{server:?} serves {client:?} by {network}");
            let run = |words: &[&str]| {
                let output = ask(&desk, client, &service.uri, words);
                assert!(
                    output.status.success(),
                    "{case}: {words:?}: {}",
                    String::from_utf8_lossy(&output.stderr)
                );
                String::from_utf8(output.stdout).unwrap()
            };
            desk.file("f.yaml", SAMPLE);
            run(&["encrypt", "-i", "f.yaml"]);
            let sealed = desk.text("f.yaml");
            assert!(sealed.contains("ENC[") && !sealed.contains(CANARY), "{case}");
            assert!(run(&["decrypt", "f.yaml"]).contains("name: canary-name"), "{case}");
            assert!(desk.plain("f.yaml").contains("name: canary-name"), "{case}: with the key itself");

            run(&["set", "f.yaml", r#"["port"]"#, "9090"]);
            run(&["rotate", "-i", "f.yaml"]);
            assert_ne!(desk.text("f.yaml"), sealed, "{case}");
            let other = desk.other_key("home/other.txt");
            desk.file(".sops.yaml", &format!("creation_rules:\n  - age: {},{other}\n", desk.recipient));
            run(&["updatekeys", "-y", "f.yaml"]);
            assert!(desk.text("f.yaml").contains(&other), "{case}");
            assert!(desk.plain("f.yaml").contains("port: 9090"), "{case}");
        }
    }
}

#[test]
fn services_are_asked_in_order_and_the_variable_stands_in_for_the_flag() {
    let desk = Desk::new();
    desk.sealed("f.yaml", SAMPLE);
    let service = serve(&desk, Program::Orlop, "unix", &[]);
    let nobody = format!("unix://{}", desk.path("nobody.sock").display());
    let several = format!("{nobody},{}", service.uri);
    let mut command = desk.orlop(["decrypt", "f.yaml"]);
    command.env_remove("SOPS_AGE_KEY_FILE").env("SOPS_KEYSERVICE", &several);
    assert_eq!(desk.run_command(&mut command).ok(), SAMPLE);

    let not_a_url = ["decrypt", "--keyservice", "127.0.0.1:5000", "--keyservice", &service.uri, "f.yaml"];
    let mut command = desk.orlop(not_a_url);
    let run = desk.run_command(command.env_remove("SOPS_AGE_KEY_FILE"));
    assert!(run.stderr.contains(r#"the key service "127.0.0.1:5000" is left out"#), "{}", run.stderr);
    assert_eq!(run.ok(), SAMPLE);
}

#[test]
fn who_could_not_help_is_named_with_the_key_and_the_reason() {
    let desk = Desk::new();
    desk.sealed("f.yaml", SAMPLE);
    let nobody = format!("unix://{}", desk.path("nobody.sock").display());
    let message = message_of(ask(&desk, Program::Orlop, &nobody, &["decrypt", "f.yaml"]), 128);
    assert!(message.contains(&nobody) && message.contains(&desk.recipient), "{message}");
    assert!(message.contains("no such file or directory"), "{message}");

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let uri = format!("tcp://{closed}");
    let message = message_of(ask(&desk, Program::Orlop, &uri, &["decrypt", "f.yaml"]), 128);
    assert!(message.contains(&uri) && message.contains("connection refused"), "{message}");

    for (uri, reason) in [("http://h:1", "no network"), ("tcp://h", "port is missing")] {
        let message = message_of(ask(&desk, Program::Orlop, uri, &["decrypt", "f.yaml"]), 128);
        assert!(message.contains(uri) && message.contains(reason), "{message}");
    }

    // A service without the key, of either program, and sops' client at ours.
    let stranger = desk.path("home/other.txt");
    desk.other_key("home/other.txt");
    desk.file("home/key.txt", &std::fs::read_to_string(stranger).unwrap());
    for (server, client) in [(Program::Orlop, Program::Orlop), (Program::Sops, Program::Orlop)] {
        let service = serve(&desk, server, "unix", &[]);
        let message = message_of(ask(&desk, client, &service.uri, &["decrypt", "f.yaml"]), 128);
        assert!(message.contains(&service.uri), "{message}");
        drop(service);
        let _ = std::fs::remove_file(desk.path("service.sock"));
    }
    let service = serve(&desk, Program::Orlop, "unix", &[]);
    let message = message_of(ask(&desk, Program::Sops, &service.uri, &["decrypt", "f.yaml"]), 128);
    assert!(message.contains(&format!("no credential for {}", desk.recipient)), "{message}");
}

#[test]
fn a_service_that_dies_while_it_is_asked_is_named() {
    let desk = Desk::new();
    desk.sealed("f.yaml", SAMPLE);
    let path = desk.path("dying.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let dying = std::thread::spawn(move || drop(listener.accept().unwrap()));
    let uri = format!("unix://{}", path.display());
    let began = Instant::now();
    let message = message_of(ask(&desk, Program::Orlop, &uri, &["decrypt", "f.yaml"]), 128);
    assert!(message.contains(&uri) && message.contains(&desk.recipient), "{message}");
    assert!(began.elapsed() < Duration::from_secs(20));
    dying.join().unwrap();
}

#[test]
fn a_service_that_does_not_answer_is_given_up() {
    use orlop::keyring::KeyService as _;
    use orlop::keyservice::{Address, Patience, RemoteKeyService};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("silent.sock");
    let _silent = UnixListener::bind(&path).unwrap();
    let address = Address::parse(&format!("unix://{}", path.display())).unwrap();
    let key = orlop::MasterKey::Pgp(orlop::provider::pgp::Fingerprint::parse("ABCD").unwrap());
    let wrapped = orlop::provider::WrappedKey::new("text");
    let second = Duration::from_secs(1);
    let (long, short) = (60 * second, second / 5);
    for (patience, reason) in [
        (
            Patience { connecting: long, answering: short, quiet: long, sign_of_life: long },
            "no answer within",
        ),
        (Patience { connecting: long, answering: long, quiet: short, sign_of_life: short }, "timed out"),
    ] {
        let service = RemoteKeyService::with_patience(address.clone(), Default::default(), patience);
        let began = Instant::now();
        let error = service.unwrap(&key, &wrapped).map(|_| ()).unwrap_err().to_string();
        assert!(began.elapsed() < 10 * second, "{reason}");
        assert!(error.contains(reason) && error.contains("silent.sock") && error.contains("ABCD"), "{error}");
    }
}

#[test]
fn a_request_without_a_key_is_not_found() {
    use orlop::keyservice::{Attendant, KeyRequest, Listener, Server};

    struct Nobody;
    impl Attendant for Nobody {
        fn allows(&self, request: &KeyRequest) -> bool {
            panic!("{request:?}");
        }
        fn answered(&self, _: &KeyRequest, _: Option<&str>) {}
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sock");
    let listener = Listener::bind("unix", path.to_str().unwrap()).unwrap();
    std::thread::spawn(move || {
        let server = Server::new(|| Box::new(orlop::Session::new(orlop::Env::default())), Nobody);
        server.serve(listener, &orlop::net::Net::default(), || {})
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async {
        let channel = tonic::transport::Endpoint::from_shared(format!("unix://{}", path.display())).unwrap();
        let mut client = tonic::client::Grpc::new(channel.connect().await.unwrap());
        client.ready().await.unwrap();
        let method = tonic::codegen::http::uri::PathAndQuery::from_static("/KeyService/Decrypt");
        let codec = tonic_prost::ProstCodec::<(), ()>::default();
        client.unary(tonic::Request::new(()), method, codec).await.unwrap_err()
    });
    assert_eq!((status.code(), status.message()), (tonic::Code::NotFound, "Must provide a key"));
}

#[test]
fn the_human_is_asked_before_the_service_acts() {
    for (server, client) in [(Program::Orlop, Program::Sops), (Program::Orlop, Program::Orlop)] {
        let desk = Desk::new();
        desk.sealed("f.yaml", SAMPLE);
        let mut service = serve(&desk, server, "unix", &["--prompt"]);
        let mut stdin = service.child.stdin.take().unwrap();
        let mut stdout = BufReader::new(service.child.stdout.take().unwrap());
        stdin.write_all(b"perhaps\ny\n").unwrap();
        assert!(stdout_of(ask(&desk, client, &service.uri, &["decrypt", "f.yaml"])).contains("canary-name"));
        let question =
            format!("Received decrypt request using age key {}. Respond to request? (y/n):", desk.recipient);
        let mut asked = vec![0; 2 * question.len()];
        std::io::Read::read_exact(&mut stdout, &mut asked).unwrap();
        assert_eq!(String::from_utf8(asked).unwrap(), question.repeat(2));

        stdin.write_all(b"n\n").unwrap();
        let message = message_of(ask(&desk, client, &service.uri, &["decrypt", "f.yaml"]), 128);
        assert!(message.contains("Request rejected by user"), "{message}");
        // Nobody is there any more.
        drop(stdin);
        message_of(ask(&desk, client, &service.uri, &["decrypt", "f.yaml"]), 128);
    }
}

#[test]
fn a_service_ends_with_a_signal_and_takes_its_socket_along() {
    let desk = Desk::new();
    let path = desk.path("service.sock");
    let service = serve(&desk, Program::Orlop, "unix", &[]);
    let file = std::fs::metadata(&path).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert_eq!(file.uid(), rustix::process::getuid().as_raw());

    let taken = ["keyservice", "--net", "unix", "--addr", path.to_str().unwrap()];
    let message = desk.run(taken).fails(1);
    assert!(message.contains("address already in use"), "{message}");
    assert!(path.exists());
    assert_eq!(service.stop(), Some(0));
    assert!(!path.exists());

    let service = serve(&desk, Program::Orlop, "tcp", &[]);
    assert_eq!(service.stop(), Some(0));
    for (words, reason) in [
        (["keyservice", "--network", "ipx", "--address", "x"], "unknown network ipx"),
        (["keyservice", "--network", "tcp", "--address", "nonsense"], "host:port"),
    ] {
        let message = desk.run(words).fails(1);
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn each_request_is_told_of_without_its_secret() {
    let desk = Desk::new();
    desk.sealed("f.yaml", SAMPLE);
    let path = desk.path("s.sock");
    let words = ["keyservice", "--network", "unix", "--address", path.to_str().unwrap(), "--verbose"];
    let mut child = desk.orlop(words).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), format!("Listening on unix://{}", path.display()));
    let service = Service { child, uri: format!("unix://{}", path.display()) };
    stdout_of(ask(&desk, Program::Sops, &service.uri, &["decrypt", "f.yaml"]));
    assert_eq!(lines.next().unwrap(), format!("decrypt request using age key {}: done", desk.recipient));
}

/// A real key of a provider, which gpg wraps for.
fn gpg_home(desk: &Desk) -> Option<(PathBuf, String)> {
    let home = desk.path("gpg");
    std::fs::create_dir(&home).unwrap();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
    let gpg = |words: &[&str]| {
        Command::new("gpg").arg("--homedir").arg(&home).args(["--batch", "--quiet"]).args(words).output()
    };
    let made = gpg(&["--passphrase", "", "--quick-generate-key", "orlop test", "rsa2048", "encrypt,sign"]);
    assert!(made.expect("gpg is installed").status.success());
    let listed = gpg(&["--with-colons", "--list-keys"]).unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let fingerprint = listed.lines().find_map(|line| line.strip_prefix("fpr:"))?;
    Some((home, fingerprint.trim_matches(':').to_owned()))
}

#[test]
fn a_provider_that_only_the_service_has_serves_as_well() {
    let desk = Desk::new();
    let (home, fingerprint) = gpg_home(&desk).unwrap();
    desk.file(".sops.yaml", &format!("creation_rules:\n  - pgp: {fingerprint}\n"));
    desk.file("f.yaml", SAMPLE);
    let path = desk.path("s.sock");
    let words = ["keyservice", "--network", "unix", "--address", path.to_str().unwrap()];
    let child = command(&desk, Program::Sops, &words).env("GNUPGHOME", &home).spawn().unwrap();
    let service = Service { child, uri: format!("unix://{}", path.display()) };
    while UnixStream::connect(&path).is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
    // The local service comes first and cannot do it.
    let run = |words: [&str; 2]| {
        let mut command = desk.orlop([words[0], "--keyservice", &service.uri, "-i", words[1]]);
        desk.run_command(&mut command).ok()
    };
    run(["encrypt", "f.yaml"]);
    assert!(desk.text("f.yaml").contains("-----BEGIN PGP MESSAGE-----"));
    run(["rotate", "f.yaml"]);
    run(["decrypt", "f.yaml"]);
    assert_eq!(desk.text("f.yaml"), SAMPLE);
    let _ = Command::new("gpgconf").arg("--homedir").arg(&home).args(["--kill", "all"]).output();
}

#[test]
fn without_a_key_service_no_socket_and_no_thread_is_made() {
    let desk = Desk::new();
    desk.sealed("f.yaml", SAMPLE);
    let stand_in = desk.path("sops");
    symlink(env!("CARGO_BIN_EXE_orlop"), &stand_in).unwrap();
    for words in [
        &["decrypt", "f.yaml"][..],
        &["--version"],
        &["set", "f.yaml", r#"["port"]"#, "1"],
        &["rotate", "-i", "f.yaml"],
    ] {
        let log = desk.path("strace.log");
        let model = desk.orlop(words.iter().copied());
        let mut command = Command::new("strace");
        command
            .args(["-f", "-qq", "-e", "trace=%network,clone,clone3,fork,vfork,epoll_create1", "-o"])
            .arg(&log)
            .arg(model.get_program())
            .args(words)
            .current_dir(desk.path("."))
            .env_clear()
            .envs(model.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))))
            .stdin(Stdio::null());
        stdout_of(command.output().expect("strace is installed"));
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "", "{words:?}");
    }
}
