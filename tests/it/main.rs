//! The suite that needs the built binary, one module a subject.

#[cfg(all(feature = "peers", target_os = "linux"))]
mod audit;
mod cli;
mod cli_bad_input;
mod cli_crypt;
mod cli_edit;
mod cli_explain;
mod cli_keys;
mod cli_legacy;
mod cli_set;
#[cfg(feature = "peers")]
mod cli_sops;
#[cfg(feature = "peers")]
mod edits;
#[cfg(feature = "peers")]
mod generate;
#[cfg(feature = "peers")]
mod helm;
#[cfg(feature = "peers")]
mod interop;
#[cfg(feature = "peers")]
mod keyservice;
#[cfg(feature = "peers")]
mod kube;
mod layouts;
#[cfg(unix)]
mod links;
mod manual;
#[cfg(feature = "peers")]
mod old_files;
#[cfg(feature = "peers")]
mod pgp;
#[cfg(feature = "peers")]
mod publish;
#[cfg(feature = "peers")]
mod readme;
mod round_trip;
#[cfg(target_os = "linux")]
mod safety;
mod support;
