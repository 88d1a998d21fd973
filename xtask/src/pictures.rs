//! The documentation's pictures of the console: taken by a browser test, made small, kept in `docs/screenshots`.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::{self, File},
    io::{BufReader, BufWriter},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::{browser::Browser, cargo, run, say};

/// The test that takes them. It compares them with those that are kept, and fails where a name is new.
const TEST: &str = "the_documentations_pictures_are_those_that_are_taken_here";
/// How many colours a picture keeps: those that one byte tells apart. Others become the nearest of them.
const MOST_COLOURS: usize = 256;

/// Takes all pictures, unless they were `taken` by a run of the tests, and puts them in place of those that are kept.
pub fn renew(taken: bool) -> Result<()> {
    let directory = cargo::target_directory()?.join("pictures");
    let tested = if taken { Ok(()) } else { take(&directory) };
    let pictures = pngs(&directory).with_context(|| format!("{TEST} took no pictures"))?;
    ensure!(!pictures.is_empty(), "{TEST} took no pictures");
    let kept = cargo::root()?.join("docs/screenshots");
    for old in pngs(&kept)? {
        fs::remove_file(old)?;
    }
    let mut size = 0;
    for picture in &pictures {
        let name = picture.file_name().context("a picture has a name")?;
        let small = kept.join(name);
        shrink(picture, &small).with_context(|| format!("{} is no picture of ours", picture.display()))?;
        size += fs::metadata(&small)?.len();
    }
    say(&format!("docs/screenshots has {} pictures of {} KiB", pictures.len(), size / 1_024));
    if tested.is_err() {
        say("the test compares with the pictures from before: where it failed for another reason, it says so above");
    }
    Ok(())
}

/// Runs the test that takes them.
fn take(directory: &Path) -> Result<()> {
    let browser = Browser::find_or_install(false)?;
    let tollgate = cargo::build_tollgate()?;
    if directory.is_dir() {
        fs::remove_dir_all(directory)?;
    }
    let mut test = cargo::test_runner(Some(TEST), Some("tollgate-tests"));
    run(browser.hand_to(&mut test).env("TOLLGATE_BIN", &tollgate))
}

/// The PNG files of a directory.
fn pngs(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("png")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Writes a picture with a palette: a third of the size, and no difference to be seen in pages of few colours.
fn shrink(from: &Path, to: &Path) -> Result<()> {
    let mut reader = png::Decoder::new(BufReader::new(File::open(from)?)).read_info()?;
    let mut pixels = vec![0; reader.output_buffer_size().context("it is too large")?];
    let info = reader.next_frame(&mut pixels)?;
    let size = info.color_type.samples();
    ensure!(info.bit_depth == png::BitDepth::Eight && size >= 3, "it is not in colours of eight bits");
    let colours: Vec<[u8; 3]> =
        pixels.chunks_exact(size).filter_map(|pixel| pixel.first_chunk::<3>()).copied().collect();
    let mut counts: HashMap<[u8; 3], usize> = HashMap::new();
    for colour in &colours {
        *counts.entry(*colour).or_default() += 1;
    }
    let mut ranked: Vec<([u8; 3], usize)> = counts.into_iter().collect();
    ranked.sort_by_key(|(colour, count)| (std::cmp::Reverse(*count), *colour));
    let palette: Vec<[u8; 3]> = ranked.iter().take(MOST_COLOURS).map(|(colour, _)| *colour).collect();
    let places: HashMap<[u8; 3], u8> = ranked.iter().map(|(colour, _)| (*colour, nearest(&palette, *colour))).collect();
    let indexed: Vec<u8> = colours.iter().filter_map(|colour| places.get(colour)).copied().collect();
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(to)?), info.width, info.height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette.concat());
    encoder.set_compression(png::Compression::High);
    encoder.set_filter(png::Filter::NoFilter);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&indexed)?;
    Ok(writer.finish()?)
}

/// Where in the palette the nearest colour is.
fn nearest(palette: &[[u8; 3]], colour: [u8; 3]) -> u8 {
    let apart = |other: &[u8; 3]| -> u32 {
        other.iter().zip(colour).map(|(one, other)| u32::from(one.abs_diff(other)).pow(2)).sum()
    };
    let nearest = palette.iter().enumerate().min_by_key(|(_, other)| apart(other));
    nearest.and_then(|(at, _)| u8::try_from(at).ok()).unwrap_or_default()
}
