// The live picture alone, filling its frame; it comes back by itself when the program does.

const picture = document.getElementById("picture");
const source = picture.getAttribute("src");
picture.addEventListener("error", () => {
  setTimeout(() => picture.setAttribute("src", `${source}?again=${Date.now()}`), 2000);
});
