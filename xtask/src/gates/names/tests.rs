use super::*;

/// Every path of `text` in the module `a::b`, as a text; those from the crate's root begin with `crate`.
fn names_of(text: &str) -> Vec<String> {
    let file = syn::parse_file(text).unwrap();
    let names = of(&file, &["a".into(), "b".into()]).names;
    let shown = |name: &Name| {
        let path = name.segments.join("::");
        match name.root {
            Root::Crate => format!("crate::{path}"),
            Root::Elsewhere => path,
            Root::Method => format!(".{path}"),
        }
    };
    names.iter().map(shown).collect()
}

#[track_caller]
fn has(text: &str, name: &str) {
    let names = names_of(text);
    assert!(names.iter().any(|found| found == name), "{text}: {names:?}");
}

#[test]
fn imports_are_taken_apart() {
    assert_eq!(
        names_of("use a::{b::{self, c as d}, e::*, f};"),
        ["a::b", "a::b::c", "a::e::*", "a::f"]
    );
}

#[test]
fn self_and_super_are_followed() {
    has("use super::x;", "crate::a::x");
    has("use self::x;", "crate::a::b::x");
    has("use super::super::x;", "crate::x");
    has("mod c { fn f() { super::super::x() } }", "crate::a::x");
    // One too many: no program, but no panic either.
    has("use super::super::super::super::x;", "crate::x");
}

#[test]
fn other_names_for_things_are_followed() {
    has("use x::y as z; fn f() { z::w() }", "x::y::w");
    has("use x as y; use y::z; fn f() { z() }", "x::z");
    has("use super::x as y; fn f() { y::z() }", "crate::a::x::z");
    has("type Z = x::Y; fn f() { Z::w() }", "x::Y::w");
    has("use x::y; fn f() { ::y::z() }", "y::z");
    // Circles end.
    has(
        "use x::y as z; use z::w as x; fn f() { x::v() }",
        "x::y::w::v",
    );
}

#[test]
fn how_much_of_a_path_stands_in_an_import_is_known() {
    let file = syn::parse_file("use crate::x::y as z; fn f() { z::w() }").unwrap();
    let names = of(&file, &[]).names;
    let imported: Vec<_> = names
        .iter()
        .map(|name| (name.segments.join("::"), name.imported))
        .collect();
    assert_eq!(imported, [("x::y".into(), 0), ("x::y::w".into(), 2)]);
}

#[test]
fn macros_and_attributes_are_looked_into() {
    has("fn f() { m!(a, [b(x::y)]) }", "x::y");
    has("fn f() { m! { use x::{self, y::{z, *}}; } }", "x::y::z");
    has("fn f() { m! { use x::{self, y::{z, *}}; } }", "x::y::*");
    has("fn f() { m! { use x::{self, y}; } }", "x");
    has("fn f() { m!(::x::y) }", "x::y");
    has("fn f() { m!(z.elapsed()) }", ".elapsed");
    has("fn f() { m!(0..x::y) }", "x::y");
    has("#[m(x::y)] fn f() {}", "x::y");
    has("#[m(with = \"x::y\")] fn f() {}", "x::y");
    has("#[x::y] fn f() {}", "x::y");
}
