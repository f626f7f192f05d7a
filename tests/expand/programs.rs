use crate::listing::{Setting, list};

#[test]
fn the_shop() {
    let text = include_str!("../../examples/shop/shop.stack");
    for environment in ["local", "staging"] {
        let setting = Setting { environment: environment.into(), simulated: true, ..Setting::default() };
        println!("== {environment}\n{}", list(text, &setting).join("\n"));
    }
}
