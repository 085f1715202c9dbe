//! How the table of limits becomes code: one entry makes a field, an option, a TOML key and a row of the
//! manual.

/// Declares the limits of a relay. An entry is
///
/// ```text
/// /// What `--help` says.
/// name: Unit(default), why "what docs/operating.md says";
/// ```
///
/// and becomes
/// - a field of `Limits`, which the relay reads;
/// - a field of `LimitOptions`, which is the flag `--name` for clap and the key `name` for TOML, with
///   dashes for underscores;
/// - in tests, a row of the manual's table.
macro_rules! limits {
    ($(
        $(#[doc = $help:literal])+
        $name:ident: $unit:ident($($default:expr),+), why $why:literal;
    )+) => {
        /// The bounds of one relay, each within what its unit allows.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct Limits {
            $(
                $(#[doc = $help])+
                pub(crate) $name: <$unit as Unit>::Value,
            )+
        }

        /// The limits that an operator has set, by flags or in a file.
        #[derive(Debug, Clone, Default, PartialEq, clap::Args, serde::Deserialize)]
        #[serde(rename_all = "kebab-case", default)]
        pub(crate) struct LimitOptions {
            $(
                #[arg(
                    long,
                    value_name = <$unit as Unit>::PLACEHOLDER,
                    help = with_default(concat!($($help),+), &$unit::new($($default),+)),
                    help_heading = "Limits"
                )]
                $name: Option<$unit>,
            )+
        }

        impl LimitOptions {
            /// The limits that hold: those of `self`, else those of `fallback`, else the defaults. The
            /// error names a limit whose value is out of its bounds.
            pub(crate) fn or(&self, fallback: &Self) -> Result<Limits, String> {
                Ok(Limits {
                    $(
                        $name: self
                            .$name
                            .or(fallback.$name)
                            .unwrap_or($unit::new($($default),+))
                            .value()
                            .map_err(|bounds| refusal(stringify!($name), &bounds))?,
                    )+
                })
            }
        }

        /// What docs/operating.md says of each limit: option, unit, default, and why it is there.
        #[cfg(test)]
        fn manual() -> Vec<[String; 4]> {
            vec![
                $(
                    [
                        option_name(stringify!($name)),
                        <$unit as Unit>::describe(),
                        $unit::new($($default),+).to_string(),
                        $why.into(),
                    ],
                )+
            ]
        }
    };
}

pub(super) use limits;
