import { render } from "preact";
import { App, stored_theme } from "./app";

document.documentElement.dataset.theme = stored_theme();
const page = document.getElementById("page");
if (page !== null) render(<App />, page);
