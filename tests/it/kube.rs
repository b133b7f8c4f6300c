//! A real Kubernetes API server: etcd and kube-apiserver on loopback ports, gone with the test run.
//!
//! No scheduler and no kubelet run, so nothing ever starts in this cluster; objects are stored, validated
//! and served as everywhere else, which is all that helm needs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use base64::Engine as _;
use tempfile::TempDir;

/// A program of the peers' cache; a missing one fails the test, as it would otherwise pass without a word.
pub(crate) fn peer(name: &str) -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = variable("ORLOP_PEERS")
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("orlop-peers")))
        .or_else(|| Some(variable("HOME")?.join(".cache/orlop-peers")))
        .expect("one of ORLOP_PEERS, XDG_CACHE_HOME and HOME is set");
    let program = folder.join("bin").join(name);
    assert!(program.is_file(), "{} is missing: `make test` installs the peers", program.display());
    program
}

/// A running API server with an administrator.
pub(crate) struct Cluster {
    // Fields are dropped in this order: the server goes before its storage, the folder last.
    _api: Server,
    _etcd: Server,
    folder: TempDir,
    port: u16,
}

/// The administrator's bearer token; the server listens on loopback only and lives for one test run.
const TOKEN: &str = "test-administrator";

impl Cluster {
    /// Starts etcd and kube-apiserver and waits until the server says it is ready.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [port, client_port, peer_port] = free_ports();
        let client = format!("http://127.0.0.1:{client_port}");
        let peers = format!("http://127.0.0.1:{peer_port}");
        let etcd = Server::start(
            "etcd",
            folder.path(),
            &[
                "--data-dir=etcd",
                "--unsafe-no-fsync",
                &format!("--listen-client-urls={client}"),
                &format!("--advertise-client-urls={client}"),
                &format!("--listen-peer-urls={peers}"),
                &format!("--initial-advertise-peer-urls={peers}"),
                &format!("--initial-cluster=default={peers}"),
            ],
        );
        make_service_account_key(&folder.path().join("service-account.key"));
        let tokens = format!("{TOKEN},administrator,administrator,\"system:masters\"\n");
        fs::write(folder.path().join("tokens.csv"), tokens).unwrap();
        let api = Server::start(
            "kube-apiserver",
            folder.path(),
            &[
                &format!("--etcd-servers={client}"),
                &format!("--secure-port={port}"),
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                // The server makes its own certificate there.
                "--cert-dir=certificates",
                "--token-auth-file=tokens.csv",
                "--authorization-mode=RBAC",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-account-key-file=service-account.key",
                "--service-account-signing-key-file=service-account.key",
                "--service-cluster-ip-range=10.0.0.0/24",
                // Nobody makes the default service account, and no pod will use it.
                "--disable-admission-plugins=ServiceAccount",
            ],
        );
        let cluster = Self { _api: api, _etcd: etcd, folder, port };
        fs::write(cluster.kubeconfig(), kubeconfig(port)).unwrap();
        cluster.wait_until_ready();
        cluster
    }

    /// The file to name in `KUBECONFIG`.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// The decoded data of a Secret, as the server gives it back.
    pub(crate) fn secret(&self, namespace: &str, name: &str) -> BTreeMap<String, String> {
        let answer = self.ask(&format!("/api/v1/namespaces/{namespace}/secrets/{name}"));
        let secret: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let data = secret["data"].as_object().unwrap_or_else(|| panic!("no Secret {name}: {answer}"));
        data.iter()
            .map(|(key, value)| {
                let value =
                    base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap();
                (key.clone(), String::from_utf8(value).unwrap())
            })
            .collect()
    }

    /// The answer to a GET of the administrator's; empty while nobody listens.
    fn ask(&self, path: &str) -> String {
        let output = Command::new("curl")
            .args(["--insecure", "--silent", "--max-time", "10", "--header"])
            .arg(format!("Authorization: Bearer {TOKEN}"))
            .arg(format!("https://127.0.0.1:{}{path}", self.port))
            .output()
            .expect("curl is installed");
        String::from_utf8(output.stdout).unwrap()
    }

    fn wait_until_ready(&self) {
        let start = Instant::now();
        while self.ask("/readyz") != "ok" {
            if start.elapsed() > Duration::from_secs(120) {
                let log = |name: &str| {
                    let log = fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
                    log.lines().rev().take(15).collect::<Vec<_>>().join("\n")
                };
                panic!(
                    "no API server after two minutes, last lines first:\n{}\n{}",
                    log("kube-apiserver.log"),
                    log("etcd.log")
                );
            }
            sleep(Duration::from_millis(200));
        }
    }
}

fn kubeconfig(port: u16) -> String {
    format!(
        "apiVersion: v1
kind: Config
clusters:
  - name: test
    cluster:
      server: https://127.0.0.1:{port}
      insecure-skip-tls-verify: true
users:
  - name: administrator
    user:
      token: {TOKEN}
contexts:
  - name: test
    context:
      cluster: test
      user: administrator
current-context: test
"
    )
}

fn make_service_account_key(path: &Path) {
    let output = Command::new("openssl")
        .args(["genrsa", "-out"])
        .arg(path)
        .arg("2048")
        .output()
        .expect("openssl is installed");
    assert!(output.status.success(), "{output:?}");
}

/// Ports that were free a moment ago, all different.
fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let listeners = [(); COUNT].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// A server below a shell that kills it as soon as its standard input ends.
///
/// That happens when this value is dropped, and also when the test process is killed: no server is left behind.
struct Server {
    shell: Child,
}

impl Server {
    fn start(name: &str, folder: &Path, arguments: &[&str]) -> Self {
        let log = File::create(folder.join(format!("{name}.log"))).unwrap();
        let shell = Command::new("sh")
            .args(["-c", "\"$@\" </dev/null & server=$!; cat; kill -KILL $server; wait $server", "sh"])
            .arg(peer(name))
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { shell }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
