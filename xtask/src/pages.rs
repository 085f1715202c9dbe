//! Pages of docs/ with a part that is written by a command.

use anyhow::{Result, bail};

const END: &str = "<!-- end -->";

/// Puts a part between the line that names its command and the line after it.
pub(crate) fn put_between(page: &str, command: &str, part: &str) -> Result<String> {
    let begin = format!("<!-- written by {command} -->");
    let parts = page
        .split_once(&begin)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = parts else {
        bail!("the page has no line `{begin}` with a line `{END}` after it");
    };
    Ok(format!("{before}{begin}\n\n{part}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_the_page_stays() {
        let begin = "<!-- written by us -->";
        let page = format!("before\n{begin}\nold\n{END}\nafter\n");
        let new = put_between(&page, "us", "| new |\n").unwrap();
        assert_eq!(new, format!("before\n{begin}\n\n| new |\n\n{END}\nafter\n"));
        assert!(put_between("nothing", "us", "").is_err());
    }
}
