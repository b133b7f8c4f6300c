//! The suite that needs the built binary, one module a subject.

#[cfg(feature = "peers")]
mod helm;
#[cfg(feature = "peers")]
mod kube;
