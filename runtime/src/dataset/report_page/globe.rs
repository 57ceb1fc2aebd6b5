//! The Earth as a flat map around a place: the azimuthal equidistant projection of a sphere. Distances and directions from the
//! centre are true, so the date line and the poles are places like any other. Pure.

/// Of a sphere with the Earth's volume, km.
const RADIUS_KM: f64 = 6371.0;
/// Natural Earth's coastlines.
const COAST: &str = include_str!("coast.txt");

/// Degrees north and east.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) latitude: f64,
    pub(super) longitude: f64,
}

/// Kilometres east and north of the centre.
pub(super) type Flat = [f64; 2];

/// A map's centre.
#[derive(Clone, Copy, Debug)]
pub(super) struct Globe {
    centre: Place,
}

impl Place {
    /// As a unit vector: through the equator at 0, at 90 east, and through the north pole.
    fn vector(self) -> [f64; 3] {
        let (latitude, longitude) = (self.latitude.to_radians(), self.longitude.to_radians());
        [latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()]
    }
}

/// The middle of places; `None` if there is none, or if they lie around the whole Earth.
pub(super) fn middle(places: &[Place]) -> Option<Place> {
    let sum = places.iter().fold([0.0; 3], |sum, place| {
        let one = place.vector();
        [sum[0] + one[0], sum[1] + one[1], sum[2] + one[2]]
    });
    let length = sum.iter().map(|part| part * part).sum::<f64>().sqrt();
    (length > 0.01 * places.len() as f64 && !places.is_empty()).then(|| Place {
        latitude: (sum[2] / length).clamp(-1.0, 1.0).asin().to_degrees(),
        longitude: sum[1].atan2(sum[0]).to_degrees(),
    })
}

/// Along the great circle, km.
pub(super) fn distance_km(a: Place, b: Place) -> f64 {
    let [x, y] = Globe::around(a).flat(b);
    x.hypot(y)
}

impl Globe {
    pub(super) fn around(centre: Place) -> Self {
        Self { centre }
    }

    pub(super) fn flat(self, place: Place) -> Flat {
        let (from, to) = (self.centre.latitude.to_radians(), place.latitude.to_radians());
        let east = (place.longitude - self.centre.longitude).to_radians();
        let x = to.cos() * east.sin();
        let y = from.cos() * to.sin() - from.sin() * to.cos() * east.cos();
        let z = from.sin() * to.sin() + from.cos() * to.cos() * east.cos();
        let side = x.hypot(y);
        // Near the centre the angle comes from its sine, which is exact there.
        let km = RADIUS_KM * side.atan2(z);
        if side == 0.0 { [0.0, if z < 0.0 { km } else { 0.0 }] } else { [km * x / side, km * y / side] }
    }

    /// The coastlines that lie within so many kilometres of the centre, as lines.
    pub(super) fn coast(self, within_km: f64) -> Vec<Vec<Flat>> {
        let mut lines = Vec::new();
        for text in COAST.lines().filter(|line| !line.starts_with('#')) {
            let (mut line, mut at, mut before) = (Vec::new(), [0, 0], None);
            for step in text.split(' ') {
                let Some((east, north)) = step.split_once(',') else { continue };
                at = [at[0] + east.parse::<i32>().unwrap_or(0), at[1] + north.parse::<i32>().unwrap_or(0)];
                let place = Place { latitude: f64::from(at[1]) / 100.0, longitude: f64::from(at[0]) / 100.0 };
                let flat = self.flat(place);
                let near = flat[0].hypot(flat[1]) <= within_km;
                // Where the data is cut at the date line there is no coast.
                let cut = before.replace(at).is_some_and(|before: [i32; 2]| {
                    [before, at].iter().all(|point| point[0].abs() >= 17_999)
                });
                if (cut || !near) && !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                }
                if near {
                    line.push(flat);
                }
            }
            lines.push(line);
        }
        lines.retain(|line| line.len() > 1);
        lines
    }

    /// A parallel or meridian, as points that are near to each other.
    pub(super) fn line(self, places: impl Iterator<Item = Place>, within_km: f64) -> Vec<Vec<Flat>> {
        let mut lines = vec![Vec::new()];
        for place in places {
            let flat = self.flat(place);
            if flat[0].hypot(flat[1]) <= within_km {
                lines.last_mut().expect("there is one").push(flat);
            } else if lines.last().is_some_and(|line| !line.is_empty()) {
                lines.push(Vec::new());
            }
        }
        lines.retain(|line| line.len() > 1);
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(latitude: f64, longitude: f64) -> Place {
        Place { latitude, longitude }
    }

    #[test]
    fn distances_are_true_across_the_date_line_and_the_pole() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 0.01 * b, "{a} {b}");
        // A degree of a great circle is 111.2 km.
        near(distance_km(place(0.0, 179.5), place(0.0, -179.5)), 111.2);
        near(distance_km(place(89.5, 0.0), place(89.5, 180.0)), 111.2);
        near(distance_km(place(-89.5, 17.0), place(-89.5, -163.0)), 111.2);
        near(distance_km(place(48.0, 0.0), place(48.0, 0.00001)), 0.000_744);
        assert!(distance_km(place(-90.0, 0.0), place(-90.0, 77.0)) < 1e-9);
        near(distance_km(place(10.0, 20.0), place(-10.0, -160.0)), 20_015.0);
    }

    #[test]
    fn the_middle_of_two_sides_of_the_date_line_is_on_it() {
        let middle = middle(&[place(10.0, 179.0), place(10.0, -179.0)]).unwrap();
        assert!((middle.longitude.abs() - 180.0).abs() < 1e-9 && (middle.latitude - 10.0).abs() < 0.01);
        assert_eq!(super::middle(&[]), None);
        assert_eq!(super::middle(&[place(0.0, 0.0), place(0.0, 180.0)]), None);
    }

    #[test]
    fn north_is_up_and_east_is_right() {
        let globe = Globe::around(place(48.7, -4.0));
        let [x, y] = globe.flat(place(48.8, -3.9));
        assert!(x > 0.0 && y > 0.0 && (y - 11.1).abs() < 0.2, "{x} {y}");
    }

    #[test]
    fn coasts_are_lines_without_leaps() {
        // Brittany has a coast; the middle of the Pacific has none; Fiji lies on the date line.
        assert!(!Globe::around(place(48.7, -4.0)).coast(500.0).is_empty());
        assert!(Globe::around(place(-30.0, -125.0)).coast(500.0).is_empty());
        for centre in [place(-16.5, 180.0), place(90.0, 0.0), place(-90.0, 0.0), place(71.2, 179.9)] {
            let lines = Globe::around(centre).coast(2_000.0);
            let leap = lines
                .iter()
                .flat_map(|line| line.windows(2))
                .map(|two| (two[0][0] - two[1][0]).hypot(two[0][1] - two[1][1]));
            let longest = leap.fold(0.0, f64::max);
            assert!(longest < 1_100.0, "{centre:?}: {longest} km between two points");
        }
    }
}
