//! The error that stands for a wrong argument.

/// A wrong argument or a wrong line of a configuration file, in one line of text. The process ends with exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);
