//! Buckets of Amazon S3.

use std::path::PathBuf;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, RetryConfig};

use super::{Outcome, told};
use crate::env::Env;
use crate::secret::SecretText;

/// Puts `text` at `key` unless it is there already.
///
/// sops uploads always: then each run makes a new version of an object that did not change.
pub(super) async fn upload(store: &dyn ObjectStore, key: &str, text: &SecretText) -> Result<Outcome, String> {
    let path = Path::parse(key).map_err(|error| error.to_string())?;
    if path.as_ref() != key {
        return Err(format!("{key:?} begins or ends with a slash, which cannot be uploaded to"));
    }
    let before = match store.get(&path).await {
        Ok(found) => Some(found.bytes().await.map_err(|error| told(&error))),
        Err(object_store::Error::NotFound { .. }) => None,
        Err(error) => Some(Err(told(&error))),
    };
    if let Some(Ok(before)) = &before
        && before[..] == *text.expose()
    {
        return Ok(Outcome::Unchanged);
    }
    store.put(&path, text.expose().to_vec().into()).await.map_err(|error| told(&error))?;
    Ok(match before {
        Some(Err(reason)) => Outcome::UploadedUnseen(reason),
        _ => Outcome::Uploaded,
    })
}

fn retrying() -> RetryConfig {
    RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(60), ..RetryConfig::default() }
}

/// A bucket of S3, with region, endpoint and credentials of the `AWS_` variables, or of the profile in AWS' own files,
/// or of the machine that this runs on.
pub(super) fn s3(bucket: &str, env: &Env) -> Result<Box<dyn ObjectStore>, String> {
    let mut builder = AmazonS3Builder::new();
    for (name, value) in env.iter() {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        if name.starts_with("AWS_")
            && !value.is_empty()
            && let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>()
        {
            builder = builder.with_config(key, value);
        }
    }
    let profile = Profile::of(env);
    if env.non_empty("AWS_REGION").is_none()
        && env.non_empty("AWS_DEFAULT_REGION").is_none()
        && let Some(region) = &profile.region
    {
        builder = builder.with_region(region);
    }
    if env.non_empty("AWS_ACCESS_KEY_ID").is_none() {
        if let Some((id, secret)) = &profile.keys {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
            if let Some(token) = &profile.token {
                builder = builder.with_token(token);
            }
        } else if profile.is_elsewhere {
            return Err(format!(
                "the AWS profile {:?} keeps its credentials elsewhere (SSO, a role or a process), which this version \
                 cannot follow; `aws configure export-credentials --format env` puts them into variables",
                profile.name
            ));
        }
    }
    let endpoint = env.text("AWS_ENDPOINT_URL_S3").or_else(|| env.text("AWS_ENDPOINT_URL"));
    if let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.is_empty()) {
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    let store = builder.with_bucket_name(bucket).with_retry(retrying()).build();
    Ok(Box::new(store.map_err(|error| told(&error))?))
}

/// What AWS' own files say about a profile. It holds secrets, so nothing prints it.
#[derive(Default)]
struct Profile {
    name: String,
    region: Option<String>,
    keys: Option<(String, String)>,
    token: Option<String>,
    is_elsewhere: bool,
}

impl Profile {
    /// The profile of `AWS_PROFILE`, else that of the name `default`.
    fn of(env: &Env) -> Self {
        let name = env.text("AWS_PROFILE").filter(|name| !name.is_empty()).unwrap_or("default");
        let file = |variable: &str, usual: &str| {
            let named = env.non_empty(variable).map(PathBuf::from);
            let path = named.or_else(|| Some(PathBuf::from(env.non_empty("HOME")?).join(usual)))?;
            std::fs::read(path).ok().map(SecretText::new)
        };
        let mut profile = Self { name: name.to_owned(), ..Self::default() };
        // A profile of the first file goes by its name, one of the second by `profile NAME`.
        for (text, headers) in [
            (file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"), [name.to_owned(), String::new()]),
            (file("AWS_CONFIG_FILE", ".aws/config"), [format!("profile {name}"), name.to_owned()]),
        ] {
            if let Some(text) = text {
                profile.read(&String::from_utf8_lossy(text.expose()), &headers);
            }
        }
        profile
    }

    fn read(&mut self, text: &str, headers: &[String; 2]) {
        let (mut is_here, mut id, mut secret) = (false, None, None);
        for line in text.lines() {
            let line = line.trim_end();
            if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                is_here = headers.iter().any(|wanted| !wanted.is_empty() && wanted == header.trim());
                continue;
            }
            // Lines that are indented belong to settings of one service.
            let Some((key, value)) =
                line.split_once('=').filter(|_| is_here && !line.starts_with([' ', '\t']))
            else {
                continue;
            };
            let value = value.trim().to_owned();
            match key.trim() {
                "region" => self.region = self.region.take().or(Some(value)),
                "aws_access_key_id" => id = Some(value),
                "aws_secret_access_key" => secret = Some(value),
                "aws_session_token" if self.keys.is_none() => self.token = Some(value),
                "sso_session" | "sso_start_url" | "role_arn" | "credential_process" | "login_session" => {
                    self.is_elsewhere = true;
                }
                _ => {}
            }
        }
        if self.keys.is_none() {
            self.keys = id.zip(secret);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(name: &str, credentials: &str, config: &str) -> Profile {
        let mut profile = Profile { name: name.to_owned(), ..Profile::default() };
        profile.read(credentials, &[name.to_owned(), String::new()]);
        profile.read(config, &[format!("profile {name}"), name.to_owned()]);
        profile
    }

    #[test]
    fn a_profile_is_read_as_the_aws_tools_write_it() {
        let credentials = "[default]\naws_access_key_id = A\naws_secret_access_key = S\n\n[other]\n\
                           aws_access_key_id=B\naws_secret_access_key=T==\naws_session_token=K\n";
        let config = "[default]\nregion = eu-west-1\n[profile other]\nregion=eu-west-2\n\
                      s3 =\n  endpoint_url = x\n[profile far]\nsso_session = x\n";
        let default = profile("default", credentials, config);
        assert_eq!((default.region.as_deref(), default.token), (Some("eu-west-1"), None));
        assert_eq!(default.keys, Some(("A".into(), "S".into())));
        let other = profile("other", credentials, config);
        assert_eq!((other.region.as_deref(), other.token.as_deref()), (Some("eu-west-2"), Some("K")));
        assert_eq!(other.keys, Some(("B".into(), "T==".into())));
        let far = profile("far", credentials, config);
        assert!(far.is_elsewhere && far.keys.is_none() && far.region.is_none());
    }
}
