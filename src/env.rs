//! The environment as the library sees it: a snapshot that the caller takes and passes in.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

/// A snapshot of environment variables.
///
/// It may hold secrets (`SOPS_AGE_KEY`), so nothing prints it: there is no `Debug`.
///
/// ```compile_fail
/// let env = orlop::Env::default();
/// println!("{env:?}"); // an environment has no Debug
/// ```
#[derive(Clone, Default)]
pub struct Env(HashMap<OsString, OsString>);

impl Env {
    /// The value of `name`; present even if it is empty.
    pub fn var(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The value of `name` as text; `None` also when it is not UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.var(name).and_then(OsStr::to_str)
    }

    /// The value of `name`, unless it is missing or empty.
    pub fn non_empty(&self, name: &str) -> Option<&OsStr> {
        self.var(name).filter(|value| !value.is_empty())
    }

    /// Sets `name` to `value`.
    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.0.insert(name.into(), value.into());
    }

    /// Every variable with its value, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Env {
    /// Takes the variables, such as those of `std::env::vars_os()`.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_present_but_not_non_empty() {
        let env = Env::from_iter([("A", "1"), ("B", "")]);
        assert_eq!(env.text("A"), Some("1"));
        assert_eq!(env.text("B"), Some(""));
        assert!(env.non_empty("B").is_none());
        assert!(env.var("C").is_none());
    }
}
