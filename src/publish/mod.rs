//! Where files are published to: sealed ones to the object stores of AWS and Google, the values of one to Vault.

mod bucket;
mod google;
mod vault;

use std::fmt;
use std::sync::Arc;

use crate::env::Env;
use crate::net::Net;
use crate::secret::SecretText;

pub use vault::VaultPlace;

/// Where a file goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A bucket of Amazon S3, or of what speaks its protocol.
    S3 {
        /// The bucket.
        bucket: String,
        /// What stands before the name, without a separator.
        prefix: String,
    },
    /// A bucket of Google Cloud Storage.
    Gcs {
        /// The bucket.
        bucket: String,
        /// What stands before the name, without a separator.
        prefix: String,
    },
    /// A key-value engine of Vault or OpenBao, which gets the values in clear.
    Vault(VaultPlace),
}

impl Destination {
    /// The whole name of `name` there, as sops shows it.
    pub fn path(&self, name: &str) -> String {
        match self {
            Destination::S3 { bucket, prefix } => format!("s3://{bucket}/{prefix}{name}"),
            Destination::Gcs { bucket, prefix } => format!("gcs://{bucket}/{prefix}{name}"),
            Destination::Vault(place) => format!("{}/v1/{}", place.address(), place.path(name)),
        }
    }
}

/// What publishing did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is there now.
    Uploaded,
    /// It was there already.
    Unchanged,
    /// It is there now; whether it was before could not be told, for this reason.
    UploadedUnseen(String),
}

/// Why a file could not be published.
#[derive(Debug, thiserror::Error)]
#[error("{destination}: {reason}")]
pub struct PublishError {
    /// The whole name of the file there.
    pub destination: String,
    /// What went wrong, without any secret.
    pub reason: String,
}

/// Publishes files; talks to nobody before there is something to publish.
pub struct Publisher {
    env: Env,
    net: Arc<Net>,
}

impl Publisher {
    /// A publisher with the credentials of `env`, and of the files where the tools of each provider keep them.
    pub fn new(env: Env, net: Arc<Net>) -> Self {
        Self { env, net }
    }

    /// Puts `text` at `name`, unless it is there already. For Vault it is a JSON map of the values.
    pub fn upload(
        &self,
        destination: &Destination,
        name: &str,
        text: SecretText,
    ) -> Result<Outcome, PublishError> {
        let work = async {
            match destination {
                Destination::S3 { bucket, prefix } => {
                    bucket::upload(&*bucket::s3(bucket, &self.env)?, &format!("{prefix}{name}"), &text).await
                }
                Destination::Gcs { bucket, prefix } => {
                    google::upload(bucket, &format!("{prefix}{name}"), &text, &self.env).await
                }
                Destination::Vault(place) => place.upload(name, text, &self.env).await,
            }
        };
        let result = self.net.run(work).unwrap_or_else(|error| Err(error.to_string()));
        result.map_err(|reason| PublishError { destination: destination.path(name), reason })
    }
}

/// The message at the bottom of `error`, with those above it that say more than that something failed.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !texts.iter().any(|above| above.contains(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    texts.join(": ")
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Uploaded => f.write_str("uploaded"),
            Outcome::Unchanged => f.write_str("already up to date"),
            Outcome::UploadedUnseen(reason) => {
                write!(f, "uploaded; what was there before cannot be read: {reason}")
            }
        }
    }
}
