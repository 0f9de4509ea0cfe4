//! Compiles `proto/` with protox, so that no protoc is needed, and keeps the descriptor set for reflection.

use std::{
    env,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("proto");
    // tonic-prost-build prints no rerun-if-changed of its own for compiled descriptor sets.
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    collect_protos(&root.join("fbs"), &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    // The encoded form keeps comments and custom options, which reflection shows.
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("descriptor.bin"), compiler.encode_file_descriptor_set())?;

    let mut names = tonic_prost_build::Config::new();
    names.enable_type_names(); // the codec looks a message up by its name
    tonic_prost_build::configure()
        .codec_path("crate::codec::BoundedCodec")
        .build_client(env::var_os("CARGO_FEATURE_CLIENT").is_some())
        .build_server(env::var_os("CARGO_FEATURE_SERVER").is_some())
        .extern_path(".google.rpc", "::tonic_types::pb")
        // Chunks of content are shared, not copied, on their way between socket and database.
        .bytes(".fbs.document.v1.UploadContentRequest")
        .bytes(".fbs.document.v1.DownloadContentResponse")
        .compile_fds_with_config(compiler.file_descriptor_set(), names)?;
    Ok(())
}

fn collect_protos(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect_protos(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
