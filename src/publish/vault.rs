//! The key-value engines of Vault and OpenBao, versions 1 and 2, by their HTTP interface.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Certificate, Client, Identity, Method, StatusCode, Url};
use serde_json::Value;

use super::{Outcome, told};
use crate::env::Env;
use crate::secret::SecretText;

/// A folder of a key-value engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultPlace {
    address: String,
    folder: String,
    mount: String,
    version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// Where Vault listens when nothing is said.
const DEFAULT_ADDRESS: &str = "https://127.0.0.1:8200";

/// How long a request may take.
const ANSWERING: Duration = Duration::from_secs(60);

impl VaultPlace {
    /// The folder `folder` of the engine at `mount`, of a server at `address`; what is empty is as Vault has it.
    ///
    /// SOPS 3.13: the engine is `secret/`, and of version 2 unless the version is 1.
    pub fn new(address: &str, folder: &str, mount: &str, version: i64, env: &Env) -> Self {
        let slashed = |text: &str| if text.ends_with('/') { text.to_owned() } else { format!("{text}/") };
        let of_env = || env.text("VAULT_ADDR").filter(|address| !address.is_empty());
        let address = if address.is_empty() { of_env().unwrap_or(DEFAULT_ADDRESS) } else { address };
        Self {
            address: address.to_owned(),
            folder: slashed(folder),
            mount: slashed(if mount.is_empty() { "secret" } else { mount }),
            version: if version == 1 { Version::One } else { Version::Two },
        }
    }

    /// The server.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The path of `name` at the server.
    pub(super) fn path(&self, name: &str) -> String {
        let data = if self.version == Version::Two { "data/" } else { "" };
        format!("{}{data}{}{name}", self.mount, self.folder)
    }

    /// Writes the map `values`, in JSON, unless it is there already.
    pub(super) async fn upload(&self, name: &str, values: SecretText, env: &Env) -> Result<Outcome, String> {
        let client = client(env)?;
        let url = self.url(name)?;
        let asked = |method: Method| {
            let mut request = client.request(method, url.clone()).header("X-Vault-Request", "true");
            if let Some(token) = token(env) {
                request = request.header("X-Vault-Token", token);
            }
            match env.text("VAULT_NAMESPACE").filter(|namespace| !namespace.is_empty()) {
                Some(namespace) => request.header("X-Vault-Namespace", namespace),
                None => request,
            }
        };
        let before = self.existing(asked(Method::GET)).await;
        if let Ok(Some(before)) = &before {
            let new: Value = serde_json::from_slice(values.expose())
                .map_err(|_| "the values cannot be said in JSON".to_owned())?;
            if *before == new {
                return Ok(Outcome::Unchanged);
            }
        }
        let body = match self.version {
            Version::One => values,
            Version::Two => {
                let mut body = SecretText::with_capacity(values.len() + 16);
                body.push_str("{\"data\":");
                body.push(values.expose());
                body.push_str("}");
                body
            }
        };
        let request = asked(Method::PUT)
            .header("Content-Type", "application/json")
            .body(Bytes::from_owner(Wiped(body)));
        let answer = request.send().await.map_err(|error| told(&error.without_url()))?;
        if !answer.status().is_success() {
            return Err(refusal(answer).await);
        }
        Ok(match before {
            Ok(_) => Outcome::Uploaded,
            Err(reason) => Outcome::UploadedUnseen(reason),
        })
    }

    /// The values that are there; `None` if there are none.
    async fn existing(&self, request: reqwest::RequestBuilder) -> Result<Option<Value>, String> {
        let answer = request.send().await.map_err(|error| told(&error.without_url()))?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !answer.status().is_success() {
            return Err(refusal(answer).await);
        }
        let mut answer: Value = answer.json().await.map_err(|_| "the answer is not JSON".to_owned())?;
        let mut data = answer.get_mut("data").map(Value::take);
        if self.version == Version::Two {
            data = data.as_mut().and_then(|data| data.get_mut("data")).map(Value::take);
        }
        Ok(data.filter(|data| !data.is_null()))
    }

    fn url(&self, name: &str) -> Result<Url, String> {
        let malformed = || format!("{:?} is no address of a Vault server", self.address);
        let mut url = Url::parse(&self.address).map_err(|_| malformed())?;
        {
            let mut steps = url.path_segments_mut().map_err(|()| malformed())?;
            steps.pop_if_empty().push("v1");
            let path = self.path(name);
            steps.extend(path.split('/').filter(|step| !step.is_empty()));
        }
        Ok(url)
    }
}

/// A body that is wiped when nobody sends it any more.
struct Wiped(SecretText);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

/// What Vault says of a request that it did not fulfil; it does not repeat values.
async fn refusal(answer: reqwest::Response) -> String {
    let status = answer.status();
    let body: Value = answer.json().await.unwrap_or_default();
    let errors = body.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let errors: Vec<&str> = errors.iter().filter_map(Value::as_str).collect();
    match errors.is_empty() {
        true => format!("the server answered {status}"),
        false => format!("the server answered {status}: {}", errors.join(", ").trim()),
    }
}

/// The token of the variable, else that of the file that `vault login` writes.
fn token(env: &Env) -> Option<String> {
    if let Some(token) = env.text("VAULT_TOKEN").filter(|token| !token.is_empty()) {
        return Some(token.to_owned());
    }
    let path = PathBuf::from(env.non_empty("HOME")?).join(".vault-token");
    let token = std::fs::read_to_string(path).ok()?;
    Some(token.trim().to_owned()).filter(|token| !token.is_empty())
}

/// A client that trusts whom Vault's variables say.
fn client(env: &Env) -> Result<Client, String> {
    let text = |name: &str| env.text(name).filter(|value| !value.is_empty());
    let read = |variable: &str, path: &str| {
        std::fs::read(path).map_err(|error| format!("{variable}: cannot read {path}: {}", error.kind()))
    };
    let mut builder = Client::builder().timeout(ANSWERING).connect_timeout(Duration::from_secs(10));
    if let Some(path) = text("VAULT_CACERT") {
        let found = Certificate::from_pem_bundle(&read("VAULT_CACERT", path)?);
        let found = found.map_err(|error| format!("VAULT_CACERT: {}", told(&error)))?;
        // As Vault's own client: these authorities and no others.
        builder = builder.tls_certs_only(found);
    }
    if let (Some(certificate), Some(key)) = (text("VAULT_CLIENT_CERT"), text("VAULT_CLIENT_KEY")) {
        let mut both = SecretText::new(read("VAULT_CLIENT_CERT", certificate)?);
        both.push(SecretText::new(read("VAULT_CLIENT_KEY", key)?).expose());
        let identity = Identity::from_pem(both.expose());
        builder = builder.identity(identity.map_err(|error| format!("VAULT_CLIENT_CERT: {}", told(&error)))?);
    }
    if matches!(text("VAULT_SKIP_VERIFY"), Some("1" | "t" | "T" | "true" | "TRUE" | "True")) {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    builder.build().map_err(|error| told(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_open_is_as_in_sops() {
        let env = Env::from_iter([("VAULT_ADDR", "http://of.env:1")]);
        let path = |folder, mount, version, env: &Env| {
            let place = VaultPlace::new("", folder, mount, version, env);
            format!("{}/v1/{}", place.address(), place.path("f.yaml"))
        };
        assert_eq!(path("a", "", 0, &env), "http://of.env:1/v1/secret/data/a/f.yaml");
        assert_eq!(path("a/", "kv", 1, &Env::default()), "https://127.0.0.1:8200/v1/kv/a/f.yaml");
        assert_eq!(path("a", "kv/", 7, &env), "http://of.env:1/v1/kv/data/a/f.yaml");
    }

    #[test]
    fn names_are_escaped_and_addresses_may_have_a_path() {
        let place = VaultPlace::new("https://h/vault/", "a b", "", 2, &Env::default());
        let url = place.url("x?y.yaml").unwrap();
        assert_eq!(url.as_str(), "https://h/vault/v1/secret/data/a%20b/x%3Fy.yaml");
        assert!(VaultPlace::new("nonsense", "a", "", 2, &Env::default()).url("x").is_err());
    }
}
