//! Where Genesys Cloud is: eighteen regions, each with an API host and a login host.

use std::{error::Error as StdError, fmt, str::FromStr};

/// A region of Genesys Cloud, named by its domain (`mypurecloud.ie`), its AWS region (`eu-west-1`), any of its hosts or
/// URLs, or, for the first one, `mypurecloud`.
///
/// ```
/// use tower_oauth2::genesys::Region;
///
/// let sydney: Region = "ap-southeast-2".parse()?;
/// assert_eq!(sydney.api_url(), "https://api.mypurecloud.com.au");
/// assert_eq!(sydney, "https://apps.mypurecloud.com.au/".parse()?);
/// # Ok::<(), tower_oauth2::genesys::UnknownRegion>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region {
    aws: &'static str,
    domain: &'static str,
}

/// No region has that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownRegion {
    name: String,
}

// === impl Region ===

impl Region {
    /// All of them.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        REGIONS.iter().map(|(aws, domain)| Self { aws, domain })
    }

    /// The AWS region, such as `eu-west-1`.
    pub const fn aws(&self) -> &'static str {
        self.aws
    }

    /// The domain, such as `mypurecloud.ie`.
    pub const fn domain(&self) -> &'static str {
        self.domain
    }

    /// The origin of the API.
    pub fn api_url(&self) -> String {
        format!("https://api.{}", self.domain)
    }

    /// The token endpoint.
    pub fn token_url(&self) -> String {
        format!("https://login.{}/oauth/token", self.domain)
    }
}

impl FromStr for Region {
    type Err = UnknownRegion;

    fn from_str(name: &str) -> Result<Self, UnknownRegion> {
        let lower = name.trim().to_ascii_lowercase();
        let host = lower.strip_prefix("https://").unwrap_or(&lower);
        let host = host.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.strip_suffix(":443").unwrap_or(host);
        let domain = ["api.", "login.", "apps."].iter().find_map(|prefix| host.strip_prefix(prefix)).unwrap_or(host);
        let named = |region: &Self| domain == region.domain || domain == region.aws;
        let found = if domain == "mypurecloud" { Self::all().next() } else { Self::all().find(named) };
        found.ok_or_else(|| UnknownRegion { name: crate::text::clean(name, 100) })
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.domain)
    }
}

// === impl UnknownRegion ===

impl fmt::Display for UnknownRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no region of Genesys Cloud; one is ", self.name)?;
        for (index, (aws, domain)) in REGIONS.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{domain} ({aws})")?;
        }
        Ok(())
    }
}

impl StdError for UnknownRegion {}

const REGIONS: [(&str, &str); 18] = [
    ("us-east-1", "mypurecloud.com"),
    ("us-east-2", "use2.us-gov-pure.cloud"),
    ("us-west-2", "usw2.pure.cloud"),
    ("ca-central-1", "cac1.pure.cloud"),
    ("mx-central-1", "mxc1.pure.cloud"),
    ("sa-east-1", "sae1.pure.cloud"),
    ("eu-west-1", "mypurecloud.ie"),
    ("eu-west-2", "euw2.pure.cloud"),
    ("eu-central-1", "mypurecloud.de"),
    ("eu-central-2", "euc2.pure.cloud"),
    ("eusc-de-east-1", "edee1.eusc-pure.cloud"),
    ("me-central-1", "mec1.pure.cloud"),
    ("ap-south-1", "aps1.pure.cloud"),
    ("ap-southeast-1", "apse1.pure.cloud"),
    ("ap-southeast-2", "mypurecloud.com.au"),
    ("ap-northeast-1", "mypurecloud.jp"),
    ("ap-northeast-2", "apne2.pure.cloud"),
    ("ap-northeast-3", "apne3.pure.cloud"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_region_is_found_by_each_of_its_names() {
        for region in Region::all() {
            let Region { aws, domain } = region;
            let upper = domain.to_ascii_uppercase();
            for name in [
                aws.to_owned(),
                domain.to_owned(),
                upper,
                region.api_url(),
                region.token_url(),
                format!("login.{domain}"),
                format!(" https://apps.{domain}:443/directory/#/admin "),
            ] {
                assert_eq!(name.parse(), Ok(region), "{name}");
            }
        }
        assert_eq!("mypurecloud".parse::<Region>().unwrap().aws(), "us-east-1");
    }

    #[test]
    fn what_only_looks_like_a_region_is_none() {
        for name in [
            "",
            "com",
            "mypurecloud.co",
            "de-mypurecloud.com",
            "mypurecloud.com.evil.example",
            "pure.cloud",
            "eu-west-9",
            "http://api.mypurecloud.ie",
        ] {
            let error = name.parse::<Region>().unwrap_err();
            assert!(error.to_string().contains("mypurecloud.ie (eu-west-1)"));
        }
        assert_ne!("mypurecloud.com.au".parse::<Region>(), "mypurecloud.com".parse());
    }
}
