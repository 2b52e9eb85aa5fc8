//! The files of `spec/`, compiled in.

macro_rules! chapters {
    ($($name:literal),* $(,)?) => {
        /// Chapter files in reading order, with their text.
        pub(super) const CHAPTERS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../spec/", $name)))),*];
    };
}

macro_rules! data {
    ($($name:literal),* $(,)?) => {
        /// Data files, with their octets.
        pub(super) const DATA: &[(&str, &[u8])] =
            &[$(($name, include_bytes!(concat!("../../../spec/", $name)))),*];
    };
}

chapters![
    "lines.md",
    "values.md",
    "commands.md",
    "errors.md",
    "numbers.md",
    "sessions.md",
    "secondary.md",
    "dialects.md",
    "process.md",
];

data![
    "data/lottery.txt",
    "data/michelso.txt",
    "data/numacc1.txt",
    "data/numacc2.txt",
    "data/numacc3.txt",
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::spec::Spec;

    #[test]
    fn nothing_of_the_directory_is_left_out() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec");
        let on_disk = Spec::from_directory(&directory).expect("spec/ is readable");
        let bundled = Spec::bundled();
        let mut names: Vec<_> = bundled.chapters.iter().map(|c| &c.name).collect();
        names.sort();
        let chapters: Vec<_> = on_disk.chapters.iter().map(|c| &c.name).collect();
        assert_eq!(names, chapters);
        assert_eq!(bundled.data, on_disk.data);
        assert!(bundled.cases().count() >= 120);
    }
}
