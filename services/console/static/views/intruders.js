import { emptyState, heading } from "../ui.js";

export default {
  title: "Intruders",
  path: "intruders",
  mount(root) {
    root.append(heading("Intruders"), emptyState("Not here yet", "This view is still to come."));
  },
};
