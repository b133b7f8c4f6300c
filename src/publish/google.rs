//! Google Cloud Storage, by its JSON interface, which is the one that emulators speak as well.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::StaticCredentialProvider;
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
use reqwest::{Client, RequestBuilder, StatusCode, Url};

use super::{Outcome, told};
use crate::env::Env;
use crate::secret::SecretText;

/// Where Google listens.
const ADDRESS: &str = "https://storage.googleapis.com";

/// How long a request may take.
const ANSWERING: Duration = Duration::from_secs(60);

/// Puts `text` at `key` of `bucket` unless it is there already.
pub(super) async fn upload(bucket: &str, key: &str, text: &SecretText, env: &Env) -> Result<Outcome, String> {
    let address = address(env)?;
    let token = token(env).await?;
    let client = Client::builder().timeout(ANSWERING).build().map_err(|error| told(&error))?;
    let with_token = |request: RequestBuilder| match &token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };

    let mut object = with_segments(&address, &["storage", "v1", "b", bucket, "o", key])?;
    object.query_pairs_mut().append_pair("alt", "media");
    let before = existing(with_token(client.get(object))).await;
    if let Ok(Some(before)) = &before
        && before[..] == *text.expose()
    {
        return Ok(Outcome::Unchanged);
    }
    let mut objects = with_segments(&address, &["upload", "storage", "v1", "b", bucket, "o"])?;
    objects.query_pairs_mut().append_pair("uploadType", "media").append_pair("name", key);
    // What is published here is sealed: no need to wipe the copy.
    let request = client.post(objects).header("Content-Type", "application/octet-stream");
    let request = with_token(request).body(text.expose().to_vec());
    let answer = request.send().await.map_err(|error| told(&error.without_url()))?;
    if !answer.status().is_success() {
        return Err(format!("the server answers {}", answer.status()));
    }
    Ok(match before {
        Ok(_) => Outcome::Uploaded,
        Err(reason) => Outcome::UploadedUnseen(reason),
    })
}

/// The bytes that are there; `None` if there are none.
async fn existing(request: RequestBuilder) -> Result<Option<Bytes>, String> {
    let answer = request.send().await.map_err(|error| told(&error.without_url()))?;
    match answer.status() {
        StatusCode::NOT_FOUND => Ok(None),
        status if status.is_success() => {
            answer.bytes().await.map(Some).map_err(|error| told(&error.without_url()))
        }
        status => Err(format!("the server answers {status}")),
    }
}

/// The emulator of `STORAGE_EMULATOR_HOST`, else Google.
fn address(env: &Env) -> Result<Url, String> {
    let address = match emulator(env) {
        Some(host) if host.contains("://") => host.to_owned(),
        Some(host) => format!("http://{host}"),
        None => ADDRESS.to_owned(),
    };
    address.parse().map_err(|error| format!("{address:?} is no address: {error}"))
}

fn emulator(env: &Env) -> Option<&str> {
    env.text("STORAGE_EMULATOR_HOST").filter(|host| !host.is_empty())
}

/// The token of `GOOGLE_OAUTH_ACCESS_TOKEN`, else of the application default credentials; an emulator needs none.
async fn token(env: &Env) -> Result<Option<String>, String> {
    let text = |name: &str| env.text(name).filter(|value| !value.is_empty());
    if emulator(env).is_some() {
        return Ok(None);
    }
    // The bucket's name does not matter for the token.
    let mut builder = GoogleCloudStorageBuilder::new().with_bucket_name("any");
    if let Some(token) = text("GOOGLE_OAUTH_ACCESS_TOKEN") {
        let credential = GcpCredential { bearer: token.to_owned() };
        builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(credential)));
    } else if let Some(path) = text("GOOGLE_APPLICATION_CREDENTIALS") {
        builder = builder.with_application_credentials(path);
    }
    let store = builder.build().map_err(|error| told(&error))?;
    let credential = store.credentials().get_credential().await.map_err(|error| told(&error))?;
    Ok(Some(credential.bearer.clone()))
}

/// `address` with these steps behind it, each of them one step whatever it holds.
fn with_segments(address: &Url, segments: &[&str]) -> Result<Url, String> {
    let mut url = address.clone();
    let steps = url.path_segments_mut();
    steps.map_err(|()| format!("{address} cannot have a path"))?.pop_if_empty().extend(segments);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_slashes_is_one_step_of_the_address() {
        let address = |host: &str| address(&Env::from_iter([("STORAGE_EMULATOR_HOST", host)])).unwrap();
        let url = with_segments(&address("localhost:1"), &["o", "a/b c?.yaml"]).unwrap();
        assert_eq!(url.as_str(), "http://localhost:1/o/a%2Fb%20c%3F.yaml");
        let url = with_segments(&address("https://x/below/"), &["o"]).unwrap();
        assert_eq!(url.as_str(), "https://x/below/o");
        assert_eq!(address("").host_str(), Some("storage.googleapis.com"));
    }
}
