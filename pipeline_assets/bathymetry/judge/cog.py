"""Whether a GeoTIFF is cloud-optimized: tiled, with overviews, its directories before its data, its pixels whole."""

from __future__ import annotations

from pathlib import Path

from pipeline_assets.bathymetry.judge.judged import Judged, by_rules


def cog(path: Path) -> Judged:
    """As rio-cogeo validates it, strictly, so that a large file without overviews is a problem, too."""
    import rasterio
    from rio_cogeo import cog_info, cog_validate

    try:
        # No files beside it: they are not the file's own.
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO"):
            _, errors, warnings = cog_validate(str(path), strict=True, quiet=True)
            found = cog_info(str(path))
    except MemoryError:
        raise
    except Exception as error:  # GDAL answers damaged bytes with errors of no common kind
        return by_rules("cog", [f"{path.name} cannot be read as a GeoTIFF: {str(error)[:200]}."])
    profile = found.Profile
    return by_rules(
        "cog", [f"{problem.rstrip('.')}." for problem in (*errors, *warnings)],
        {
            "compression": str(found.Compression), "width": profile.Width, "height": profile.Height,
            "overviews": max(0, len(found.IFD) - 1),
        },
    )  # fmt: skip
