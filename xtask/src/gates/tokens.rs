//! Paths in what a macro is given, where there is no syntax tree.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path as it stands among the tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TokenPath {
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
    /// It begins with `::`.
    pub(super) absolute: bool,
    /// It stands behind a dot: a method that is called.
    pub(super) method: bool,
}

/// Every path in `stream`, also in its brackets, and with the braces of imports taken apart.
pub(super) fn paths(stream: TokenStream) -> Vec<TokenPath> {
    let tokens: Vec<_> = stream.into_iter().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Ident(ident) => {
                let member = is_member(&tokens[..at]);
                let called = matches!(tokens.get(at + 1), Some(TokenTree::Group(_)));
                let start = TokenPath {
                    line: ident.span().start().line,
                    segments: vec![ident.to_string()],
                    absolute: at >= 2 && is_colons(&tokens[at - 2..]),
                    method: member,
                };
                at += 1;
                // A field says nothing.
                if !member || called {
                    at = read_path(&tokens, at, start, &mut found);
                }
            }
            TokenTree::Group(group) => {
                found.extend(paths(group.stream()));
                at += 1;
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => at += 1,
        }
    }
    found
}

/// The strings in `stream`, with their lines.
pub(super) fn strings(stream: TokenStream) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for token in stream {
        match token {
            TokenTree::Group(group) => found.extend(strings(group.stream())),
            TokenTree::Literal(literal) => {
                let line = literal.span().start().line;
                if let syn::Lit::Str(text) = syn::Lit::new(literal) {
                    found.push((line, text.value()));
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
    found
}

/// Reads on behind the first segment, and returns where the path ends.
fn read_path(
    tokens: &[TokenTree],
    mut at: usize,
    mut path: TokenPath,
    found: &mut Vec<TokenPath>,
) -> usize {
    while is_colons(&tokens[at..]) {
        match tokens.get(at + 2) {
            Some(TokenTree::Ident(ident)) => path.segments.push(ident.to_string()),
            Some(TokenTree::Punct(star)) if star.as_char() == '*' => path.segments.push("*".into()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let stars = group
                    .stream()
                    .into_iter()
                    .filter(|token| is_punct(token, '*'));
                let stars = stars.map(|star| (star.span().start().line, vec!["*".into()]));
                let inner = paths(group.stream()).into_iter();
                let inner = inner.map(|inner| (inner.line, inner.segments)).chain(stars);
                found.extend(inner.map(|(line, segments)| TokenPath {
                    line,
                    segments: joined(&path.segments, segments),
                    ..path
                }));
                return at + 3;
            }
            _ => break,
        }
        at += 3;
    }
    found.push(path);
    at
}

/// `a::{self}` is `a`.
fn joined(before: &[String], mut inner: Vec<String>) -> Vec<String> {
    if inner == ["self"] {
        inner.clear();
    }
    [before, &inner].concat()
}

/// Whether what comes next is a method or a field: there is one dot before it, unlike in a range.
fn is_member(before: &[TokenTree]) -> bool {
    match before {
        [.., first, second] => is_punct(second, '.') && !is_punct(first, '.'),
        [only] => is_punct(only, '.'),
        [] => false,
    }
}

fn is_colons(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [first, second, ..] if is_punct(first, ':') && is_punct(second, ':'))
}

fn is_punct(token: &TokenTree, c: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == c)
}
