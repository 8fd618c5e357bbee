//! Leaves the symbol table out of the module.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The profile's `strip` does not reach a package that has settings of its own, which would
    // leave names a fifth of the file's size.
    if std::env::var_os("PROFILE").is_some_and(|profile| profile == "release") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,--strip-all");
    }
}
