//! The suite that needs the built binary, one module a subject.

#[cfg(feature = "peers")]
mod age_keys;
#[cfg(feature = "peers")]
mod age_vectors;
#[cfg(all(feature = "peers", target_os = "linux"))]
mod audit;
#[cfg(feature = "peers")]
mod binary;
mod cli;
mod cli_bad_input;
mod cli_crypt;
mod cli_edit;
mod cli_exec;
mod cli_explain;
mod cli_keys;
mod cli_legacy;
mod cli_set;
#[cfg(feature = "peers")]
mod cli_sops;
#[cfg(feature = "peers")]
mod edits;
mod formats;
#[cfg(feature = "peers")]
mod generate;
#[cfg(feature = "peers")]
mod generate_flat;
#[cfg(feature = "peers")]
mod helm;
#[cfg(feature = "peers")]
mod interop;
#[cfg(feature = "peers")]
mod json;
#[cfg(feature = "peers")]
mod keyservice;
#[cfg(feature = "peers")]
mod kube;
mod layouts;
#[cfg(unix)]
mod links;
mod manual;
#[cfg(feature = "peers")]
mod matrix;
#[cfg(feature = "peers")]
mod matrix_rows;
#[cfg(feature = "peers")]
mod old_files;
#[cfg(feature = "peers")]
mod pairs;
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
#[cfg(feature = "peers")]
mod terminal;
mod toml;
