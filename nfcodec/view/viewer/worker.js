/** The decoder beside the page. */
import { serve } from "./service.js";

const answer = serve((message) => postMessage(message));
addEventListener("message", ({ data }) => answer(data));
