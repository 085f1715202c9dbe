//! Tells cargo when an embedded page is out of date: a file that was not there before is not among
//! those that the compiler looks at again.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_EMBED").is_some() {
        println!("cargo:rerun-if-changed=../www");
    }
}
