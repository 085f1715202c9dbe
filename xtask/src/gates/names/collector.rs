//! Reads the paths out of a syntax tree, as they stand there.

use std::collections::BTreeMap;

use proc_macro2::Span;
use syn::{
    Attribute, ExprMethodCall, Field, ImplItemFn, Item, ItemExternCrate, ItemMod, ItemType,
    ItemUse, Macro, Meta, UseTree, VisRestricted,
    visit::{self, Visit},
};

use crate::gates::tokens;

/// A path as it stands in the code.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
    /// It begins with `::`.
    pub(super) absolute: bool,
    pub(super) method: bool,
    /// The module it stands in.
    pub(super) module: Vec<String>,
}

/// What the imports of a file call things, in whichever block they stand.
pub(super) type Imports = BTreeMap<String, Written>;

/// Gathers all that a file names, but for its tests.
pub(super) struct Collector {
    /// The module that is being read, with those in braces.
    module: Vec<String>,
    pub(super) written: Vec<Written>,
    pub(super) imports: Imports,
    pub(super) test_modules: Vec<Vec<String>>,
}

impl Collector {
    pub(super) fn read(file: &syn::File, path: &[String]) -> Self {
        let mut collector = Self {
            module: path.to_vec(),
            written: Vec::new(),
            imports: Imports::new(),
            test_modules: Vec::new(),
        };
        collector.visit_file(file);
        collector
    }

    fn write(&mut self, line: usize, segments: Vec<String>, absolute: bool) -> Written {
        let written = Written {
            line,
            segments,
            absolute,
            method: false,
            module: self.module.clone(),
        };
        self.written.push(written.clone());
        written
    }

    fn import(&mut self, name: String, written: Written) {
        self.imports.insert(name, written);
    }

    fn tokens(&mut self, stream: proc_macro2::TokenStream) {
        for path in tokens::paths(stream) {
            let module = self.module.clone();
            self.written.push(Written {
                line: path.line,
                segments: path.segments,
                absolute: path.absolute,
                method: path.method,
                module,
            });
        }
    }

    /// Takes the leaves of a `use` apart. `before` is what stands before the tree.
    fn tree(&mut self, tree: &UseTree, before: &[String], absolute: bool) {
        let with = |name: &dyn ToString| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident), absolute),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, before, absolute);
                }
            }
            UseTree::Name(name) => {
                let segments = without_last_self(with(&name.ident));
                let called = segments.last().cloned().unwrap_or_default();
                let written = self.write(line(name.ident.span()), segments, absolute);
                self.import(called, written);
            }
            UseTree::Rename(rename) => {
                let segments = without_last_self(with(&rename.ident));
                let written = self.write(line(rename.ident.span()), segments, absolute);
                self.import(rename.rename.to_string(), written);
            }
            UseTree::Glob(glob) => {
                let at = line(glob.star_token.spans[0]);
                self.write(at, with(&"*"), absolute);
            }
        }
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        } else if let Item::Mod(module) = item
            && module.content.is_none()
        {
            let path = [&self.module[..], &[module.ident.to_string()]].concat();
            self.test_modules.push(path);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_field(&mut self, field: &'ast Field) {
        if !is_for_tests(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.module.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.tree(&item.tree, &[], item.leading_colon.is_some());
    }

    fn visit_item_extern_crate(&mut self, item: &'ast ItemExternCrate) {
        let name = item.ident.to_string();
        // `extern crate self` is the crate itself.
        let segment = if name == "self" { "crate" } else { &name };
        let written = self.write(
            line(item.ident.span()),
            vec![segment.into()],
            name != "self",
        );
        let renamed = item.rename.as_ref().map(|(_, rename)| rename.to_string());
        self.import(renamed.unwrap_or(name), written);
    }

    fn visit_item_type(&mut self, item: &'ast ItemType) {
        // Another name for what there is, as an import makes one.
        if let syn::Type::Path(path) = &*item.ty {
            let segments = segments(&path.path);
            let absolute = path.path.leading_colon.is_some();
            let written = self.write(line(item.ident.span()), segments, absolute);
            self.import(item.ident.to_string(), written);
        }
        visit::visit_item_type(self, item);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let at = path.segments.first().map(|first| line(first.ident.span()));
        self.write(
            at.unwrap_or_default(),
            segments(path),
            path.leading_colon.is_some(),
        );
        visit::visit_path(self, path);
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        // `<T>::f` is written as a type and a path of one segment.
        if let Some(qself) = &path.qself
            && qself.position == 0
            && let syn::Type::Path(ty) = &*qself.ty
        {
            let segments = [segments(&ty.path), segments(&path.path)].concat();
            let at = path.path.segments.first();
            let at = at.map_or(0, |first| line(first.ident.span()));
            self.write(at, segments, ty.path.leading_colon.is_some());
        }
        visit::visit_expr_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        self.written.push(Written {
            line: line(call.method.span()),
            segments: vec![call.method.to_string()],
            absolute: false,
            method: true,
            module: self.module.clone(),
        });
        visit::visit_expr_method_call(self, call);
    }

    /// `pub(in path)` only says who may see something.
    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {}

    fn visit_macro(&mut self, call: &'ast Macro) {
        visit::visit_macro(self, call);
        self.tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        visit::visit_attribute(self, attribute);
        if let Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone());
            // As in `#[serde(with = "…")]`.
            for (at, text) in tokens::strings(list.tokens.clone()) {
                if let Ok(path) = syn::parse_str::<syn::Path>(&text) {
                    self.write(at, segments(&path), path.leading_colon.is_some());
                }
            }
        }
    }
}

/// `a::{self}` is `a`.
fn without_last_self(mut segments: Vec<String>) -> Vec<String> {
    if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
        segments.pop();
    }
    segments
}

fn segments(path: &syn::Path) -> Vec<String> {
    let idents = path.segments.iter().map(|segment| &segment.ident);
    idents.map(ToString::to_string).collect()
}

fn line(span: Span) -> usize {
    span.start().line
}

/// Whether something is compiled for tests only.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<Meta>()
                .is_ok_and(|condition| needs_test(&condition))
    })
}

fn needs_test(condition: &Meta) -> bool {
    let list = syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated;
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(all) if all.path.is_ident("all") => all
            .parse_args_with(list)
            .is_ok_and(|conditions| conditions.iter().any(needs_test)),
        Meta::List(_) | Meta::NameValue(_) => false,
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(syn::ItemConst { attrs, .. })
        | Item::Enum(syn::ItemEnum { attrs, .. })
        | Item::ExternCrate(ItemExternCrate { attrs, .. })
        | Item::Fn(syn::ItemFn { attrs, .. })
        | Item::ForeignMod(syn::ItemForeignMod { attrs, .. })
        | Item::Impl(syn::ItemImpl { attrs, .. })
        | Item::Macro(syn::ItemMacro { attrs, .. })
        | Item::Mod(ItemMod { attrs, .. })
        | Item::Static(syn::ItemStatic { attrs, .. })
        | Item::Struct(syn::ItemStruct { attrs, .. })
        | Item::Trait(syn::ItemTrait { attrs, .. })
        | Item::Type(ItemType { attrs, .. })
        | Item::Union(syn::ItemUnion { attrs, .. })
        | Item::Use(ItemUse { attrs, .. }) => attrs,
        _ => &[],
    }
}
