//! Code for one target stands in few, known places.

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, ItemMod, Macro, Meta,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::{Fault, source::Source};

/// Where the switch between targets is made. Everything else is the same code everywhere.
const ALLOWED: &[&str] = &[
    "shared/src/platform.rs",
    "shared/src/platform/",
    "tests/nat/main.rs",
    "web/src/lib.rs",
    "webrtc/src/platform.rs",
];

/// Where whole modules are left out of a browser, each by one line before its `mod`.
const MODULES_ALLOWED: &[&str] = &["shared/src/node.rs", "shared/src/protocols.rs"];

pub(super) const ADVICE: &str = "What differs between targets belongs to shared/src/platform; a protocol that a browser \
    cannot have is left out by one line before its `mod` (ALLOWED and MODULES_ALLOWED in xtask/src/gates/targets.rs).";

/// Every question for the target that stands elsewhere.
pub(super) fn faults(sources: &[Source]) -> Vec<Fault> {
    let elsewhere = |source: &&Source| {
        let starts = |allowed: &&str| source.file.starts_with(allowed);
        !ALLOWED.iter().any(starts)
    };
    let mut faults = Vec::new();
    for source in sources.iter().filter(elsewhere) {
        let mut finder = Finder {
            modules_allowed: MODULES_ALLOWED.contains(&source.file.as_str()),
            lines: Vec::new(),
        };
        finder.visit_file(&source.syntax);
        faults.extend(finder.lines.into_iter().map(|line| Fault {
            file: source.file.clone(),
            line,
            what: "code for one target".into(),
        }));
    }
    faults
}

struct Finder {
    modules_allowed: bool,
    lines: Vec<usize>,
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        let elsewhere = self.modules_allowed && module.content.is_none();
        for attribute in &module.attrs {
            let (start, end) = (attribute.span().start(), attribute.span().end());
            if !elsewhere || start.line != end.line {
                self.visit_attribute(attribute);
            }
        }
        for item in module.content.iter().flat_map(|(_, items)| items) {
            self.visit_item(item);
        }
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta
            && is_switch(&list.path)
            && asks_for_target(list.tokens.clone())
        {
            self.lines.push(attribute.span().start().line);
        }
        visit::visit_attribute(self, attribute);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        if is_switch(&call.path) && asks_for_target(call.tokens.clone()) {
            self.lines.push(call.span().start().line);
        }
        self.in_macro(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

impl Finder {
    /// Looks for `cfg` and what it asks in what a macro is given.
    fn in_macro(&mut self, stream: TokenStream) {
        let mut cfg = None;
        for token in stream {
            match token {
                TokenTree::Ident(ident) if ident == "cfg" || ident == "cfg_attr" => {
                    cfg = Some(ident.span().start().line);
                }
                TokenTree::Punct(punct) if punct.as_char() == '!' => {}
                TokenTree::Group(group) => {
                    if let Some(line) = cfg.take().filter(|_| asks_for_target(group.stream())) {
                        self.lines.push(line);
                    }
                    self.in_macro(group.stream());
                }
                _ => cfg = None,
            }
        }
    }
}

fn is_switch(path: &syn::Path) -> bool {
    path.is_ident("cfg") || path.is_ident("cfg_attr")
}

fn asks_for_target(stream: TokenStream) -> bool {
    stream.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident.to_string().starts_with("target_"),
        TokenTree::Group(group) => asks_for_target(group.stream()),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(file: &str, text: &str) -> Vec<usize> {
        let faults = faults(&[Source::parse(file, text).unwrap()]);
        faults.into_iter().map(|fault| fault.line).collect()
    }

    const WASM: &str = "target_family = \"wasm\"";

    #[test]
    fn every_form_of_the_switch_is_found() {
        for text in [
            format!("fn f() {{}}\n#[cfg({WASM})]\nfn g() {{}}"),
            format!("fn f() {{}}\n#[cfg_attr(not({WASM}), inline)]\nfn g() {{}}"),
            format!("fn f() {{\n    if cfg!({WASM}) {{}}\n}}"),
            format!("fn f() {{\n    assert!(cfg!({WASM}));\n}}"),
            format!("macro_rules! m {{ () => {{\n    #[cfg({WASM})] fn f() {{}}\n}} }}"),
            format!("struct S {{\n    #[cfg({WASM})]\n    field: u8,\n}}"),
            format!("fn f() {{}}\n#[cfg(all(\n    unix,\n    not({WASM})\n))]\nfn g() {{}}"),
            format!("mod inner {{\n    #[cfg({WASM})]\n    mod deep;\n}}"),
        ] {
            assert_eq!(lines("shared/src/event.rs", &text), [2], "{text}");
        }
        assert_eq!(
            lines("tests/peer.rs", "#![cfg(target_os = \"linux\")]"),
            [1]
        );
    }

    #[test]
    fn other_switches_comments_and_texts_are_let_through() {
        for text in [
            "#[cfg(unix)] fn f() {}",
            "#[cfg(test)] mod t { const X: &str = \"target_os\"; }",
            "// #[cfg(target_os = \"linux\")]\nfn f() {}",
            "fn f() -> &'static str { \"#[cfg(target_os)]\" }",
            "fn f(target_os: u8) { dbg!(target_os); }",
        ] {
            assert_eq!(lines("shared/src/event.rs", text), [0; 0], "{text}");
        }
    }

    #[test]
    fn the_platform_may_ask_and_two_files_may_leave_modules_out() {
        let module =
            format!("#[cfg(not({WASM}))]\nmod lan;\n#[cfg_attr({WASM}, path = \"b.rs\")]\nmod a;");
        let function = format!("#[cfg({WASM})]\nfn f() {{}}");
        let long = format!("#[cfg(\n    {WASM}\n)]\nmod lan;");
        for file in [
            "shared/src/platform.rs",
            "shared/src/platform/native.rs",
            "web/src/lib.rs",
        ] {
            assert_eq!(lines(file, &function), [0; 0], "{file}");
        }
        for file in MODULES_ALLOWED {
            assert_eq!(lines(file, &module), [0; 0], "{file}");
            assert_eq!(lines(file, &function), [1], "{file}");
            assert_eq!(lines(file, &long), [1], "{file}");
        }
        assert_eq!(lines("shared/src/connector.rs", &module), [1, 3]);
        assert_eq!(lines("shared/src/node/behaviour.rs", &function), [1]);
    }
}
