//! Where tensors live: the choice between processor and GPU, made once, with its reason.
//!
//! `main` pins burn's default first; the commands and the engine then choose. Nothing else in the project names a
//! backend, and nothing ever asks burn for its default device.

use std::fmt;
use std::str::FromStr;

use anyhow::Result;
use burn::tensor::Device;

/// What was asked for: `auto`, `cpu`, `cuda` or `cuda:1`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    #[default]
    Auto,
    Cpu,
    Cuda(usize),
}

/// What was chosen, and why in words fit for a header and an event.
#[derive(Debug, Clone)]
pub struct Chosen {
    pub device: Device,
    pub kind: Kind,
    pub why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Cpu,
    Cuda(usize),
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Kind::Cpu => write!(formatter, "cpu"),
            Kind::Cuda(index) => write!(formatter, "cuda:{index}"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<DeviceChoice, String> {
        match text {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "cuda" => Ok(DeviceChoice::Cuda(0)),
            other => match other.strip_prefix("cuda:").map(str::parse) {
                Some(Ok(index)) => Ok(DeviceChoice::Cuda(index)),
                _ => Err(format!("{other:?} is none of auto, cpu, cuda, cuda:N")),
            },
        }
    }
}

/// Makes burn's own default device the processor, whatever was compiled in: some of burn's functions ask for the
/// default without need, and CUDA as the default panics where there is no driver. Call it first thing in `main`.
pub fn pin_default() {
    #[expect(unsafe_code, reason = "burn reads this variable only; it is set in main before any thread exists")]
    unsafe {
        std::env::set_var("BURN_DEVICE", "flex");
    }
}

/// Chooses the device. An explicit wish that cannot be had is an error; `auto` falls back and says why.
pub fn choose(choice: DeviceChoice) -> Result<Chosen> {
    let cpu = |why: String| Chosen { device: Device::flex(), kind: Kind::Cpu, why };
    match choice {
        DeviceChoice::Cpu => Ok(cpu("asked for".to_owned())),
        DeviceChoice::Auto => Ok(match cuda(0) {
            Ok(device) => Chosen { device, kind: Kind::Cuda(0), why: "a CUDA device was found".to_owned() },
            Err(reason) => cpu(reason.to_string()),
        }),
        DeviceChoice::Cuda(index) => {
            let device = cuda(index)?;
            Ok(Chosen { device, kind: Kind::Cuda(index), why: "asked for".to_owned() })
        }
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda(_index: usize) -> Result<Device> {
    anyhow::bail!("this binary was built without the feature \"cuda\"")
}

/// A CUDA device that is known to compute: a missing toolkit shows only when the first kernel is built, and then by a
/// panic, so a thread of its own tries one.
#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Device> {
    use anyhow::{Context, ensure};
    use burn::tensor::{DType, DeviceType, Tensor};

    keep_kernels()?;
    let found = Device::enumerate(DeviceType::Cuda).into_vec().len();
    ensure!(found > 0, "no CUDA driver or device was found");
    ensure!(index < found, "there is no CUDA device {index}; {found} found");
    let device = Device::cuda(index);
    let probed = device.clone();
    let probe = std::thread::Builder::new()
        .name("cuda-probe".to_owned())
        .spawn(move || Tensor::<1>::ones([32], (&probed, DType::F32)).exp().into_data())
        .context("could not start a thread")?;
    let unusable = |_| {
        anyhow::anyhow!("a CUDA device was found but no kernel runs on it; is the toolkit installed and CUDA_PATH set?")
    };
    probe.join().map_err(unusable)?;
    Ok(device)
}

/// Compiled kernels and tuning results go to the user's cache folder, not into whatever directory we run in.
#[cfg(feature = "cuda")]
fn keep_kernels() -> Result<()> {
    use burn::cubecl::config::cache::CacheConfig;
    use burn::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

    if let Some(folders) = directories::ProjectDirs::from("", "", "selfreward") {
        let mut config = CubeClRuntimeConfig::default();
        config.environment.path = CacheConfig::Directory(folders.cache_dir().join("kernels"));
        config.compilation.cache = true;
        // False when a configuration was set before, which then holds.
        CubeClRuntimeConfig::try_set(config);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_or_refused() {
        for (text, expected) in [
            ("auto", Some(DeviceChoice::Auto)),
            ("cpu", Some(DeviceChoice::Cpu)),
            ("cuda", Some(DeviceChoice::Cuda(0))),
            ("cuda:3", Some(DeviceChoice::Cuda(3))),
            ("cuda:", None),
            ("gpu", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn without_the_feature_auto_says_why_and_cuda_is_refused() {
        let chosen = choose(DeviceChoice::Auto).unwrap();
        assert_eq!((chosen.kind, chosen.why.contains("without the feature")), (Kind::Cpu, true));
        assert!(choose(DeviceChoice::Cuda(0)).is_err());
    }
}
