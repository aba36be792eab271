import { emptyState, heading } from "../ui.js";

export default {
  title: "Handshake",
  path: "handshake",
  mount(root) {
    root.append(heading("A handshake, as it happened"), emptyState("Not here yet", "This view is still to come."));
  },
};
